//! Saying who asks.

use std::time::Duration;

use headwater_project::config::{HttpAuth, Secret};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;

/// A token is renewed so long before it expires.
const EARLY: Duration = Duration::from_secs(60);

/// Adds what the connection says to requests; fetches and keeps tokens.
pub(super) struct Authorizer {
    auth: Option<HttpAuth>,
    token: Option<(Secret, Duration)>,
}

impl Authorizer {
    pub(super) fn new(auth: Option<HttpAuth>) -> Self {
        Self { auth, token: None }
    }

    /// A refused token is not tried twice.
    pub(super) fn forget(&mut self) {
        self.token = None;
    }

    /// Whether a refusal may be cured by a new token.
    pub(super) fn is_renewable(&self) -> bool {
        matches!(self.auth, Some(HttpAuth::ClientCredentials { .. }))
    }

    pub(super) async fn add(
        &mut self,
        client: &Client,
        request: RequestBuilder,
        now: Duration,
    ) -> Result<RequestBuilder, String> {
        Ok(match &self.auth {
            None => request,
            Some(HttpAuth::Basic { user, password }) => request.basic_auth(user, Some(password.reveal())),
            Some(HttpAuth::Bearer { token }) => request.bearer_auth(token.reveal()),
            Some(HttpAuth::ApiKey { key, query: Some(name), .. }) => request.query(&[(name, key.reveal())]),
            Some(HttpAuth::ApiKey { key, header, query: None }) => {
                request.header(header.as_deref().unwrap_or("X-API-Key"), key.reveal())
            }
            Some(HttpAuth::ClientCredentials { .. }) => {
                let token = self.current_token(client, now).await?;
                request.bearer_auth(token)
            }
        })
    }

    async fn current_token(&mut self, client: &Client, now: Duration) -> Result<String, String> {
        if let Some((token, _)) = self.token.as_ref().filter(|(_, until)| now < *until) {
            return Ok(token.reveal().to_owned());
        }
        let Some(HttpAuth::ClientCredentials { token_url, client_id, client_secret, scope }) = &self.auth else {
            return Err(String::from("there is no token to fetch"));
        };
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", client_id),
            ("client_secret", client_secret.reveal()),
        ];
        form.extend(scope.as_deref().map(|scope| ("scope", scope)));
        // Without its address: an error's text must not carry what was sent.
        let failed = |error: reqwest::Error| format!("no token could be fetched: {}", error.without_url());
        let answer = client.post(token_url).form(&form).send().await.map_err(failed)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(failed)?;
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(token) = json.get("access_token").and_then(Value::as_str).filter(|_| status.is_success()) else {
            let reason = json.get("error").and_then(Value::as_str).unwrap_or("no access_token in the answer");
            return Err(format!("no token could be fetched: {status}, {reason}"));
        };
        let seconds = json.get("expires_in").and_then(Value::as_u64).unwrap_or(300);
        let until = now + Duration::from_secs(seconds).saturating_sub(EARLY);
        self.token = Some((Secret::new(token), until));
        Ok(token.to_owned())
    }
}
