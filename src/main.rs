//! The binary.
use std::path::PathBuf;
fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(2);
    let path: PathBuf = args.next().unwrap_or_default().into();
    tracing_subscriber::fmt().with_env_filter("info").init();
    let config = segue::config::Config::load(&path)?;
    segue::app::serve(config, &segue::app::Options { path, upgrade: args.next().is_some() })
}
