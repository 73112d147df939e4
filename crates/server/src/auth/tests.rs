use std::net::Ipv4Addr;

use axum::http::HeaderValue;

use super::*;

/// 2026-03-15 12:00 UTC.
const NOW: Timestamp = Timestamp(1_773_576_000_000_000);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

fn auth(accounts: &Accounts, read_only: bool) -> (tempfile::TempDir, Auth) {
    let folder = tempfile::tempdir().unwrap();
    let path = Accounts::path(folder.path());
    accounts.write(&path).unwrap();
    (folder, Auth::new(path, Arc::new(headwater_app::SystemEntropy), read_only))
}

fn with(name: header::HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
}

#[test]
fn without_accounts_only_the_same_machine_may_do_anything() {
    let (_folder, auth) = auth(&Accounts::default(), false);
    let role = |peer, by_loopback_name| auth.caller(&HeaderMap::new(), peer, by_loopback_name, NOW).unwrap().role;
    assert_eq!(role(HERE, true), Some(Role::Admin));
    // A proxy on this machine passes on the requests of others, under another name.
    assert_eq!(role(HERE, false), None);
    assert_eq!(role(ELSEWHERE, true), None);
}

#[test]
fn a_command_that_reads_the_project_folder_needs_no_account() {
    let mut accounts = Accounts::default();
    accounts.add_token("ci", AccountRole::Viewer, &headwater_app::SystemEntropy).unwrap();
    let (_folder, auth) = auth(&accounts, false);
    let auth = Auth { local_token: Some(Secret::new("abc")), ..auth };
    let role = |token: &str| {
        let headers = with(header::AUTHORIZATION, &format!("Bearer {token}"));
        auth.caller(&headers, HERE, true, NOW).unwrap().role
    };
    assert_eq!((role("abc"), role("abd"), role("")), (Some(Role::Admin), None, None));
}

#[test]
fn read_only_lets_everybody_look_when_there_are_no_accounts() {
    let (_folder, open) = auth(&Accounts::default(), true);
    assert_eq!(open.caller(&HeaderMap::new(), ELSEWHERE, false, NOW).unwrap().role, Some(Role::Viewer));
    let mut accounts = Accounts::default();
    accounts.add_token("ci", AccountRole::Admin, &headwater_app::SystemEntropy).unwrap();
    let (_folder, closed) = auth(&accounts, true);
    assert_eq!(closed.caller(&HeaderMap::new(), HERE, true, NOW).unwrap().role, None);
}

#[test]
fn a_token_is_shown_once_known_by_its_digest_and_gone_when_removed() {
    let mut accounts = Accounts::default();
    let token = accounts.add_token("ci", AccountRole::Editor, &headwater_app::SystemEntropy).unwrap();
    let (folder, auth) = auth(&accounts, false);
    let path = Accounts::path(folder.path());
    assert!(!std::fs::read_to_string(&path).unwrap().contains(&token));
    let caller = |token: &str| {
        let headers = with(header::AUTHORIZATION, &format!("Bearer {token}"));
        auth.caller(&headers, ELSEWHERE, false, NOW).unwrap()
    };
    assert_eq!(caller(&token).role, Some(Role::Editor));
    assert_eq!(caller("hw_0").role, None);
    assert!(accounts.remove("ci"));
    accounts.write(&path).unwrap();
    assert_eq!(caller(&token).role, None);
}

#[tokio::test]
async fn a_login_holds_until_it_ends_and_its_cookie_is_kept_from_scripts_and_other_sites() {
    let mut accounts = Accounts::default();
    accounts.set_user("ada", AccountRole::Viewer, "correct horse battery", &headwater_app::SystemEntropy).unwrap();
    let (_folder, auth) = auth(&accounts, false);
    let wrong = auth.log_in("ada", "wrong", ELSEWHERE, false, NOW).await.unwrap_err();
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let (caller, cookie) = auth.log_in("ada", "correct horse battery", ELSEWHERE, true, NOW).await.unwrap();
    assert_eq!((caller.role, caller.by_cookie), (Some(Role::Viewer), true));
    for word in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let headers = with(header::COOKIE, &format!("other=1; {}", cookie.split(';').next().unwrap()));
    let role = |now| auth.caller(&headers, ELSEWHERE, false, now).unwrap().role;
    assert_eq!(role(NOW), Some(Role::Viewer));
    assert_eq!(role(NOW.saturating_add(std::time::Duration::from_secs(8 * 86_400))), None);
    auth.log_out(&headers);
    assert_eq!(role(NOW), None);
}

#[test]
fn guesses_are_limited_by_place_and_by_name() {
    let attempts = Attempts::default();
    for _ in 0..10 {
        assert!(attempts.may_try(ELSEWHERE, "ada", NOW).is_ok());
        attempts.failed(ELSEWHERE, "ada", NOW);
    }
    let refused = |peer, name, now| attempts.may_try(peer, name, now).is_err();
    assert!(refused(ELSEWHERE, "ada", NOW) && refused(ELSEWHERE, "bob", NOW) && refused(HERE, "ada", NOW));
    assert!(!refused(HERE, "bob", NOW));
    assert!(!refused(ELSEWHERE, "ada", NOW.saturating_add(std::time::Duration::from_secs(301))));
}

#[test]
fn weak_passwords_and_odd_names_are_refused() {
    let mut accounts = Accounts::default();
    let entropy = headwater_app::SystemEntropy;
    assert!(accounts.set_user("ada", AccountRole::Viewer, "short", &entropy).is_err());
    assert!(accounts.set_user("a b", AccountRole::Viewer, "long enough for this", &entropy).is_err());
    assert!(accounts.is_empty());
}

/// One identity over all policies: what is allowed, in the order open, read, statements, act.
fn check_matrix(caller: &Caller, read_only: bool, expected: [u16; 4]) {
    let policies = [Policy::Open, Policy::Read, Policy::UntrustedSql, Policy::Act];
    let found = policies
        .map(|policy| authorize(policy, caller, read_only).map_or_else(|error| error.status.as_u16(), |()| 200));
    assert_eq!(found, expected, "{caller:?}, read-only {read_only}");
}

#[test]
fn each_identity_may_do_what_its_role_says() {
    let caller =
        |name: Option<&str>, role, is_local| Caller { name: name.map(str::to_owned), role, by_cookie: false, is_local };
    check_matrix(&caller(None, Some(Role::Admin), true), false, [200, 200, 200, 200]);
    check_matrix(&caller(None, None, false), false, [200, 401, 401, 401]);
    check_matrix(&caller(Some("v"), Some(Role::Viewer), false), false, [200, 200, 200, 403]);
    check_matrix(&caller(Some("e"), Some(Role::Editor), false), false, [200, 200, 200, 200]);
    check_matrix(&caller(Some("a"), Some(Role::Admin), false), false, [200, 200, 200, 200]);
    check_matrix(&caller(None, Some(Role::Viewer), false), true, [200, 200, 403, 403]);
    check_matrix(&caller(None, Some(Role::Viewer), true), true, [200, 200, 200, 403]);
    check_matrix(&caller(Some("a"), Some(Role::Admin), false), true, [200, 200, 200, 403]);
    check_matrix(&caller(None, None, false), true, [200, 401, 401, 401]);
}

#[test]
fn only_loopback_is_listened_on_while_nobody_can_log_in() {
    assert!(may_listen(HERE, false, false));
    assert!(!may_listen(ELSEWHERE, false, false));
    assert!(may_listen(ELSEWHERE, true, false) && may_listen(ELSEWHERE, false, true));
}
