//! The Markov chain compiled for speed: states are small numbers, every draw is one alias table, and the parts of a record
//! that depend on the state alone are ready as text.

use std::collections::HashMap;

use super::config::{SessionsConfig, StateName};
use super::render::json_string;
use crate::random::{Alias, Stream};

pub type StateId = u16;

/// What the page means to the simulation, beyond its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    Song,
    Advertisement,
    LevelChange,
    Login,
    Other,
}

#[derive(Clone, Debug)]
pub struct State {
    pub page: Page,
    /// Index of the (auth, level) pair, see [`Chain::start`].
    pub pair: u16,
    pub redirect: bool,
    pub shows_user: bool,
    pub guest: bool,
    pub logged_in: bool,
    pub churned: bool,
    /// `,"page":...,"auth":...,"method":...,"status":...,"level":...`
    pub page_json: Box<str>,
    /// `,"auth":...,"level":...`
    pub auth_json: Box<str>,
    /// `,"level":...`
    pub level_json: Box<str>,
    /// Destinations; the last cell of the draw is the end of the session.
    next: Option<Alias>,
    destinations: Box<[StateId]>,
}

#[derive(Debug)]
pub struct Chain {
    pub states: Vec<State>,
    starts: Vec<Option<(Alias, Box<[StateId]>)>>,
    /// Pairs of new users, weighted by auth and by level.
    initial: Option<(Alias, Box<[u16]>)>,
    newcomer: u16,
}

impl Chain {
    /// Compiles a configuration that [`super::lint::lint`] found free of errors. `None` when it has too many states.
    pub fn new(config: &SessionsConfig) -> Option<Self> {
        let mut names = Numbering::default();
        for page in &config.new_session {
            names.state(&page.state);
        }
        for rule in &config.transitions {
            names.state(&rule.source);
            names.state(&rule.dest);
        }
        for (auth, _) in &config.auths {
            for (level, _) in &config.levels {
                names.pair(auth, level);
            }
        }
        let newcomer = names.pair(&config.new_user_auth, &config.new_user_level);
        if names.states.len() >= usize::from(u16::MAX) || names.pairs.len() >= usize::from(u16::MAX) {
            return None;
        }
        let mut chain = Self {
            states: names.states.iter().map(|name| state(name, config, &names)).collect(),
            starts: Vec::new(),
            initial: initial(config, &mut names),
            newcomer,
        };
        chain.compile_transitions(config, &mut names);
        chain.compile_starts(config, &mut names);
        Some(chain)
    }

    fn compile_transitions(&mut self, config: &SessionsConfig, names: &mut Numbering) {
        let mut rules: Vec<Vec<(StateId, f64)>> = vec![Vec::new(); self.states.len()];
        for rule in &config.transitions {
            let (source, dest) = (names.state(&rule.source), names.state(&rule.dest));
            if let Some(rules) = rules.get_mut(usize::from(source)) {
                rules.push((dest, rule.p));
            }
        }
        for (state, rules) in self.states.iter_mut().zip(rules) {
            let sum: f64 = rules.iter().map(|(_, p)| p).sum();
            // A remainder of rounding (0.3 + 0.7 in binary) must not end a session now and then.
            let end = if sum > 1.0 - 1e-9 { 0.0 } else { 1.0 - sum };
            let weights: Vec<f64> = rules.iter().map(|(_, p)| *p).chain([end]).collect();
            state.next = Alias::new(&weights);
            state.destinations = rules.iter().map(|(dest, _)| *dest).collect();
        }
    }

    fn compile_starts(&mut self, config: &SessionsConfig, names: &mut Numbering) {
        let mut pages: Vec<Vec<(StateId, f64)>> = vec![Vec::new(); names.pairs.len()];
        for page in &config.new_session {
            let pair = names.pair(&page.state.auth, &page.state.level);
            if let Some(pages) = pages.get_mut(usize::from(pair)) {
                pages.push((names.state(&page.state), page.weight));
            }
        }
        let table = |pages: Vec<(StateId, f64)>| {
            let weights: Vec<f64> = pages.iter().map(|(_, weight)| *weight).collect();
            Some((Alias::new(&weights)?, pages.into_iter().map(|(state, _)| state).collect()))
        };
        self.starts = pages.into_iter().map(table).collect();
    }

    /// The first page of a session for users of an (auth, level) pair; `None` when there is none for them.
    pub fn start(&self, pair: u16, stream: &mut Stream) -> Option<StateId> {
        let (draw, states) = self.starts.get(usize::from(pair))?.as_ref()?;
        states.get(draw.draw(stream)).copied()
    }

    /// The page after `from`; `None` when the session is over.
    pub fn next(&self, from: StateId, stream: &mut Stream) -> Option<StateId> {
        let state = self.state(from)?;
        state.destinations.get(state.next.as_ref()?.draw(stream)).copied()
    }

    pub fn state(&self, id: StateId) -> Option<&State> {
        self.states.get(usize::from(id))
    }

    pub fn initial_pair(&self, stream: &mut Stream) -> u16 {
        let drawn = self.initial.as_ref().and_then(|(draw, pairs)| pairs.get(draw.draw(stream)));
        drawn.copied().unwrap_or(self.newcomer)
    }

    pub fn newcomer_pair(&self) -> u16 {
        self.newcomer
    }
}

#[derive(Default)]
struct Numbering {
    states: Vec<StateName>,
    state_ids: HashMap<StateName, StateId>,
    pairs: HashMap<(String, String), u16>,
}

impl Numbering {
    fn state(&mut self, name: &StateName) -> StateId {
        self.pair(&name.auth, &name.level);
        if let Some(id) = self.state_ids.get(name) {
            return *id;
        }
        let id = self.states.len() as StateId;
        self.states.push(name.clone());
        self.state_ids.insert(name.clone(), id);
        id
    }

    fn pair(&mut self, auth: &str, level: &str) -> u16 {
        let next = self.pairs.len() as u16;
        *self.pairs.entry((auth.to_owned(), level.to_owned())).or_insert(next)
    }
}

fn initial(config: &SessionsConfig, names: &mut Numbering) -> Option<(Alias, Box<[u16]>)> {
    let mut pairs = Vec::new();
    let mut weights = Vec::new();
    for (auth, auth_weight) in &config.auths {
        for (level, level_weight) in &config.levels {
            pairs.push(names.pair(auth, level));
            // A combination nobody can begin a session with (a guest who pays) is not meant by the product of the weights.
            let starts = config.new_session.iter().any(|page| page.state.auth == *auth && page.state.level == *level);
            weights.push(if starts { auth_weight * level_weight } else { 0.0 });
        }
    }
    Some((Alias::new(&weights)?, pairs.into()))
}

fn state(name: &StateName, config: &SessionsConfig, names: &Numbering) -> State {
    let [page, auth, method, level] = [&name.page, &name.auth, &name.method, &name.level].map(|text| json_string(text));
    let pair = names.pairs.get(&(name.auth.clone(), name.level.clone())).copied().unwrap_or_default();
    State {
        page: match name.page.as_str() {
            "NextSong" => Page::Song,
            "PlayAd" => Page::Advertisement,
            "Submit Upgrade" | "Submit Downgrade" => Page::LevelChange,
            "Login" => Page::Login,
            _ => Page::Other,
        },
        pair,
        redirect: (300..399).contains(&name.status),
        shows_user: config.show_user_details.iter().any(|(auth, show)| *show && *auth == name.auth),
        guest: name.auth == "Guest",
        logged_in: name.auth == "Logged In",
        churned: name.auth == config.churned_state,
        page_json: format!(
            ",\"page\":{page},\"auth\":{auth},\"method\":{method},\"status\":{},\"level\":{level}",
            name.status
        )
        .into_boxed_str(),
        auth_json: format!(",\"auth\":{auth},\"level\":{level}").into_boxed_str(),
        level_json: format!(",\"level\":{level}").into_boxed_str(),
        next: None,
        destinations: Box::default(),
    }
}
