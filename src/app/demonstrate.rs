//! `segue demo`: the real proxy, from a real configuration, before the built-in packagers.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::FutureExt as _;

use super::operate::Running;
use super::serve::{Options, serve_and_tell};
use crate::config::Config;
use crate::demo;
use crate::ops::Operations as _;

/// Runs the demo until Ctrl-C.
///
/// # Errors
/// What cannot be started.
pub fn demonstrate(options: &demo::Options) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let ended = runtime.block_on(demo::run(
        options,
        |packagers| start(options, packagers),
        asked_to_stop(),
    ));
    let _ = std::fs::remove_dir_all(run_dir());
    Ok(ended?)
}

fn run_dir() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("segue-demo-{}", std::process::id()))
}

/// Ctrl-C, or a polite kill.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminated) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}

async fn start(
    options: &demo::Options,
    packagers: Vec<demo::Started>,
) -> Result<demo::Proxy, String> {
    let run_dir = run_dir();
    let admin = free_port().map_err(|e| format!("no free port: {e}"))?;
    let text = configuration(options, &packagers, &run_dir.to_string_lossy(), admin);
    let config = Config::parse("demo", &text, &|_| None).map_err(|e| e.to_string())?;
    super::logs::start(&config.log);
    let (tell, told) = tokio::sync::oneshot::channel::<Arc<Running>>();
    let options_of_run = Options { path: "demo".into(), upgrade: false };
    let failed = std::thread::spawn(move || {
        serve_and_tell(config, &options_of_run, |running| {
            let _ = tell.send(running);
        })
    });
    match told.await {
        Ok(running) => Ok(demo::Proxy {
            entry: format!("http://{}{}", options.listen, options.packager.entry()),
            drain: {
                let running = running.clone();
                Box::new(move |id, out| {
                    let running = running.clone();
                    async move {
                        // The demo's packagers are known, and its store is memory.
                        let _ = running.drain(&id, out).await;
                    }
                    .boxed()
                })
            },
            drained: {
                let running = running.clone();
                Box::new(move |id| running.packager(id).is_ok_and(|state| state.drained))
            },
            status: Box::new(move || running.status().get("streams").cloned().unwrap_or_default()),
        }),
        Err(_) => Err(match failed.join() {
            Ok(Err(error)) => format!("{error:#}"),
            _ => "it ended at once".to_owned(),
        }),
    }
}

/// Nobody else's at this moment, which is good enough for a demo.
fn free_port() -> std::io::Result<SocketAddr> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn configuration(
    options: &demo::Options,
    packagers: &[demo::Started],
    run_dir: &str,
    admin: SocketAddr,
) -> String {
    let mut text = format!(
        "listen: [\"{}\"]\nadmin: \"{admin}\"\nzone: az1\nstore: memory\n\
         segments: {{ dir: \"{run_dir}/segments\", memory: 64MiB, disk: 256MiB }}\n\
         server: {{ upgrade_sock: \"{run_dir}/upgrade.sock\", pid_file: \"{run_dir}/pid\" }}\n\
         log: {{ level: info }}\npools:\n  - name: demo\n    hosts: [\"*\"]\n    packagers:\n",
        options.listen
    );
    for (n, packager) in packagers.iter().enumerate() {
        let demo::Started { id, url, kind } = packager;
        let kind = if kind.is_empty() { String::new() } else { format!(", {kind}") };
        let _ = writeln!(text, "      - {{ id: {id}, url: \"{url}\", zone: az{}{kind} }}", n + 1);
    }
    text
}
