//! Judges a configuration before anything runs: what cannot be simulated is an error, what is likely not meant a warning.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use headwater_project::Diagnostic;

use super::config::{SessionsConfig, StateName};

/// Rounding of probabilities written in decimals.
const TOLERANCE: f64 = 1e-9;

/// Everything wrong or suspicious in the chain, in a stable order.
pub fn lint(config: &SessionsConfig) -> Vec<Diagnostic> {
    let chain = Chain::of(config);
    let mut found = Vec::new();
    sums(&chain, &mut found);
    weights(config, &mut found);
    names(config, &chain, &mut found);
    start_pages(config, &chain, &mut found);
    reachability(config, &chain, &mut found);
    found
}

/// The chain as a graph of the transitions that can happen.
struct Chain<'a> {
    next: BTreeMap<&'a StateName, Vec<(&'a StateName, f64)>>,
    starts: BTreeMap<(&'a str, &'a str), Vec<&'a StateName>>,
    states: BTreeSet<&'a StateName>,
    repeated: BTreeSet<(&'a StateName, &'a StateName)>,
}

impl<'a> Chain<'a> {
    fn of(config: &'a SessionsConfig) -> Self {
        let mut chain =
            Self { next: BTreeMap::new(), starts: BTreeMap::new(), states: BTreeSet::new(), repeated: BTreeSet::new() };
        let mut pairs = BTreeSet::new();
        for rule in &config.transitions {
            if !pairs.insert((&rule.source, &rule.dest)) {
                chain.repeated.insert((&rule.source, &rule.dest));
            }
            chain.states.extend([&rule.source, &rule.dest]);
            chain.next.entry(&rule.source).or_default().push((&rule.dest, rule.p));
        }
        for page in &config.new_session {
            chain.states.insert(&page.state);
            let starts = chain.starts.entry((&page.state.auth, &page.state.level)).or_default();
            if page.weight > 0.0 {
                starts.push(&page.state);
            }
        }
        chain
    }

    /// The (auth, level) pairs users can be in at the start, and from there every state they can come to.
    fn reachable(&self, config: &'a SessionsConfig) -> (BTreeSet<&'a StateName>, BTreeSet<(&'a str, &'a str)>) {
        let mut pairs: BTreeSet<(&str, &str)> = initial_pairs(config, &self.starts).into_iter().collect();
        let mut states = BTreeSet::new();
        let mut waiting: VecDeque<&StateName> =
            pairs.iter().filter_map(|pair| self.starts.get(pair)).flatten().copied().collect();
        while let Some(state) = waiting.pop_front() {
            if !states.insert(state) {
                continue;
            }
            waiting.extend(self.next.get(state).into_iter().flatten().filter(|(_, p)| *p > 0.0).map(|(dest, _)| *dest));
            let pair = (state.auth.as_str(), state.level.as_str());
            // A session can end in any state whose probabilities leave room, and the next one starts from its auth and level.
            if state.auth != config.churned_state && pairs.insert(pair) {
                waiting.extend(self.starts.get(&pair).into_iter().flatten());
            }
        }
        (states, pairs)
    }
}

/// Users begin in the (auth, level) pairs that have both weights and a start page; newcomers in their own pair.
fn initial_pairs<'a>(
    config: &'a SessionsConfig,
    starts: &BTreeMap<(&str, &str), Vec<&StateName>>,
) -> Vec<(&'a str, &'a str)> {
    let mut pairs = Vec::new();
    for (auth, _) in config.auths.iter().filter(|(_, weight)| *weight > 0.0) {
        for (level, _) in config.levels.iter().filter(|(_, weight)| *weight > 0.0) {
            pairs.push((auth.as_str(), level.as_str()));
        }
    }
    pairs.retain(|pair| starts.contains_key(pair));
    if config.growth_rate > 0.0 {
        pairs.push((&config.new_user_auth, &config.new_user_level));
    }
    pairs
}

fn sums(chain: &Chain<'_>, found: &mut Vec<Diagnostic>) {
    for (state, next) in &chain.next {
        let sum: f64 = next.iter().map(|(_, p)| p).sum();
        if sum > 1.0 + TOLERANCE {
            found.push(
                Diagnostic::error(format!("transitions from {state} sum to {sum:.6}, more than 1"))
                    .hint("Lower some of them; what is missing to 1 ends the session."),
            );
        }
    }
    for (source, dest) in &chain.repeated {
        found.push(
            Diagnostic::warning(format!("the transition from {source} to {dest} is listed more than once"))
                .detail("The probabilities are added.")
                .hint("Keep one of them."),
        );
    }
}

fn weights(config: &SessionsConfig, found: &mut Vec<Diagnostic>) {
    for (key, list) in [("auths", &config.auths), ("levels", &config.levels)] {
        if list.iter().all(|(_, weight)| *weight <= 0.0) {
            found.push(
                Diagnostic::error(format!("every weight in `{key}` is zero"))
                    .hint("Give at least one entry a positive weight; users start with it."),
            );
        }
        let mut seen = BTreeSet::new();
        for (name, _) in list.iter().filter(|(name, _)| !seen.insert(name.as_str())) {
            found.push(Diagnostic::warning(format!("`{key}` lists {name} twice")).hint("Keep one of them."));
        }
    }
}

fn names(config: &SessionsConfig, chain: &Chain<'_>, found: &mut Vec<Diagnostic>) {
    let auths: BTreeSet<&str> = config.auths.iter().map(|(name, _)| name.as_str()).collect();
    let levels: BTreeSet<&str> = config.levels.iter().map(|(name, _)| name.as_str()).collect();
    let shown: BTreeSet<&str> = config.show_user_details.iter().map(|(name, _)| name.as_str()).collect();
    let mut unknown = |kind: &str, key: &str, name: &str| {
        found.push(
            Diagnostic::warning(format!("{kind} {name} is not in `{key}`"))
                .hint(format!("Add it to `{key}` (weight 0 if nobody starts with it), or correct its spelling.")),
        );
    };
    let used_auths: BTreeSet<&str> =
        chain.states.iter().map(|state| state.auth.as_str()).chain([config.new_user_auth.as_str()]).collect();
    let used_levels: BTreeSet<&str> =
        chain.states.iter().map(|state| state.level.as_str()).chain([config.new_user_level.as_str()]).collect();
    // The churned state is where users end, so nobody starts in it and it need not be listed.
    used_auths
        .iter()
        .filter(|auth| !auths.contains(*auth) && **auth != config.churned_state)
        .for_each(|auth| unknown("auth", "auths", auth));
    used_levels.iter().filter(|level| !levels.contains(*level)).for_each(|level| unknown("level", "levels", level));
    for auth in used_auths.iter().filter(|auth| !shown.contains(*auth)) {
        found.push(
            Diagnostic::warning(format!("`show-user-details` does not say whether auth {auth} shows its user"))
                .detail("Records in that state will not name the user.")
                .hint(format!("Add {auth} to `show-user-details`.")),
        );
    }
}

fn start_pages(config: &SessionsConfig, chain: &Chain<'_>, found: &mut Vec<Diagnostic>) {
    for ((auth, level), pages) in &chain.starts {
        if pages.is_empty() {
            found.push(
                Diagnostic::error(format!("every weight in `new-session` for {auth}, {level} is zero"))
                    .hint("Give at least one page a positive weight, or remove them all."),
            );
        }
    }
    if !initial_pairs(config, &chain.starts).iter().any(|pair| chain.starts.contains_key(pair)) {
        found.push(
            Diagnostic::error("`new-session` has no page for anybody at the start")
                .detail("No auth and level with a positive weight has a start page.")
                .hint("Add start pages for the auths and levels users begin with."),
        );
    }
    let (_, pairs) = chain.reachable(config);
    for (auth, level) in pairs.iter().filter(|pair| !chain.starts.contains_key(*pair) && pair.0 != config.churned_state)
    {
        found.push(
            Diagnostic::warning(format!("`new-session` has no page for {auth}, {level}"))
                .detail("Users who are in that state when a session ends never come back.")
                .hint("Add a start page for it."),
        );
    }
}

fn reachability(config: &SessionsConfig, chain: &Chain<'_>, found: &mut Vec<Diagnostic>) {
    let (reached, _) = chain.reachable(config);
    // Guests come in with growth only, and a project may switch growth on later: what a newcomer reaches is not dead.
    let grown = SessionsConfig { growth_rate: 1.0, ..config.clone() };
    let with_newcomers = Chain::of(&grown).reachable(&grown).0.into_iter().cloned().collect::<BTreeSet<_>>();
    for state in chain.states.iter().filter(|state| !with_newcomers.contains(**state)) {
        found.push(
            Diagnostic::warning(format!("no session can reach {state}"))
                .hint("Add a transition or a start page that leads to it, or remove it."),
        );
    }
    for state in &reached {
        let leaves = chain.next.get(state).is_some_and(|next| next.iter().any(|(_, p)| *p > 0.0));
        if !leaves && state.auth != config.churned_state {
            found.push(
                Diagnostic::warning(format!("{state} is a dead end"))
                    .detail("Every session that comes there is over.")
                    .hint("Add transitions from it, unless that is what you want."),
            );
        }
    }
    if !with_newcomers.iter().any(|state| state.auth == config.churned_state) {
        found.push(
            Diagnostic::warning(format!("no session can reach the churned state {}", config.churned_state))
                .detail("Nobody ever cancels.")
                .hint("Add a transition to a page with that auth, or correct `churned-state`."),
        );
    }
}
