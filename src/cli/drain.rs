//! `segue drain` and `segue undrain`: a packager is taken out while viewers play, and brought back.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::admin::{Admin, Answer};

/// How often it is looked whether lanes have left.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A proxy that is restarted or upgraded meanwhile is waited for.
const AWAY_MAX: Duration = Duration::from_secs(30);

/// Which packager, and what is waited for.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The packager's id.
    #[arg(value_name = "PACKAGER")]
    id: String,
    /// The configuration that the proxy runs with: says where it is asked, and the admin token.
    #[arg(long, value_name = "FILE")]
    conf: PathBuf,
    /// drain: until no lane is on it, and it can be stopped. undrain: first until its checks say that it
    /// is up.
    #[arg(long)]
    wait: bool,
    /// Each state as a line of JSON.
    #[arg(long)]
    json: bool,
}

/// What the proxy says of a packager.
struct State {
    all: Value,
    drained: bool,
    health: String,
    lanes: u64,
    siblings: u64,
}

/// Takes it out.
pub fn drain(options: &Options) -> anyhow::Result<()> {
    let admin = Admin::of(&options.conf)?;
    let path = path(&options.id)?;
    let id = &options.id;
    let mut state = read(admin.post(&format!("{path}/drain"))?)?;
    tell(options, &state, &taken_out(id, &state));
    while options.wait && state.lanes > 0 {
        let before = (state.lanes, state.siblings);
        state = look(&admin, &path)?;
        if !state.drained {
            bail!("{id} was brought back meanwhile");
        }
        if (state.lanes, state.siblings) != before {
            tell(options, &state, &left(id, &state));
        }
    }
    Ok(())
}

fn taken_out(id: &str, state: &State) -> String {
    let (leave, stay) = if state.lanes == 1 { ("leaves", "stays") } else { ("leave", "stay") };
    let lanes = lanes(state.lanes);
    match (state.lanes, state.siblings) {
        (0, 0) => format!("{id} is drained, but no sibling is up: it still serves new viewers."),
        (_, 0) => format!("{id} is drained, but no sibling is up: {lanes} {stay} on it for now."),
        (0, _) => format!("{id} is drained; no lane is on it."),
        _ => format!("{id} is drained; {lanes} {leave} it."),
    }
}

fn left(id: &str, state: &State) -> String {
    let lanes = lanes(state.lanes);
    match (state.lanes, state.siblings) {
        (0, _) => format!("{id} has no lane any more: it can be stopped."),
        (_, 0) => format!("{lanes} left on {id}, and no sibling is up"),
        _ => format!("{lanes} left on {id}"),
    }
}

/// Brings it back.
pub fn undrain(options: &Options) -> anyhow::Result<()> {
    let admin = Admin::of(&options.conf)?;
    let path = path(&options.id)?;
    let id = &options.id;
    if options.wait {
        wait_until_up(options, &admin, &path)?;
    }
    let state = read(admin.post(&format!("{path}/undrain"))?)?;
    let down = if state.health == "down" { " once it is up" } else { "" };
    tell(options, &state, &format!("{id} gets new viewers again{down}."));
    Ok(())
}

fn wait_until_up(options: &Options, admin: &Admin, path: &str) -> anyhow::Result<()> {
    let mut told = None;
    loop {
        let state = look(admin, path)?;
        let (id, health) = (&options.id, state.health.clone());
        if health == "up" {
            return Ok(());
        }
        if told.as_ref() != Some(&health) {
            tell(options, &state, &format!("{id} is {health}: waiting until it is up"));
            told = Some(health);
        }
    }
}

fn lanes(count: u64) -> String {
    if count == 1 { "1 lane".to_owned() } else { format!("{count} lanes") }
}

fn tell(options: &Options, state: &State, line: &str) {
    if options.json {
        println!("{}", state.all);
    } else {
        println!("{line}");
    }
}

/// Its path at the proxy, which knows best whether there is such a packager.
fn path(id: &str) -> anyhow::Result<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if id.is_empty() || !id.bytes().all(plain) {
        bail!("`{id}` is no packager's id");
    }
    Ok(format!("/packagers/{id}"))
}

/// The state a moment later. A proxy that is away for a moment keeps who is drained.
#[allow(clippy::disallowed_methods)] // nobody waits for this process but whoever told it to
fn look(admin: &Admin, path: &str) -> anyhow::Result<State> {
    let since = Instant::now();
    loop {
        sleep(LOOK_EVERY);
        match admin.get(&format!("{path}/drain")) {
            Ok(answer) => return read(answer),
            Err(error) if since.elapsed() > AWAY_MAX => return Err(error),
            Err(_) => {}
        }
    }
}

fn read(answer: Answer) -> anyhow::Result<State> {
    let Answer { status, body } = answer;
    if status != 200 {
        bail!("{} ({status})", body.trim());
    }
    let all: Value =
        serde_json::from_str(&body).context("what answers is no Segue that can drain")?;
    let number = |key: &str| all.get(key).and_then(Value::as_u64);
    let state = (|| {
        Some(State {
            drained: all.get("drained")?.as_bool()?,
            health: all.get("health")?.as_str()?.to_owned(),
            lanes: number("lanes")?,
            siblings: number("siblings")?,
            all: all.clone(),
        })
    })();
    state.context("what answers is no Segue that can drain")
}
