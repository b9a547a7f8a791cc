//! What stands in `docker/`, as far as it can be judged without a Docker engine.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::Command;

use segue::config::Config;
use serde_yaml::Value;

use crate::repository;

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

fn compose() -> Value {
    let mut compose: Value = serde_yaml::from_str(&read("docker/compose.yaml")).unwrap();
    // Once for each level of `<<` within `<<`.
    for _ in 0..2 {
        compose.apply_merge().unwrap();
    }
    compose
}

#[test]
fn the_configuration_is_right_and_names_the_packagers() {
    let config = Config::load(&repository("docker/segue.yaml")).unwrap();
    let warned: Vec<&str> = config.warnings.iter().map(|warning| warning.key.as_str()).collect();
    // The port is published on the loopback address only: see below.
    assert_eq!(warned, ["admin"]);
    let compose = compose();
    for packager in &config.pools[0].packagers {
        let host = &packager.url.host;
        assert!(compose["services"].get(host.as_str()).is_some(), "no service {host}");
        assert!(
            read("docker/packager/relay.conf").contains(&format!("push rtmp://{host}:1935/live;"))
        );
    }
    let listen = config.listen[0].port();
    assert!(
        read("docker/packager/packager.conf")
            .contains(&format!("listen {};", config.pools[0].packagers[0].url.port))
    );
    for port in [listen, config.admin.port()] {
        let published = Value::from(format!("127.0.0.1:{port}:{port}"));
        assert!(
            compose["services"]["segue"]["ports"].as_sequence().unwrap().contains(&published),
            "{port}"
        );
    }
    let wait = compose["services"]["segue"]["stop_grace_period"].as_str().unwrap();
    let wait: u64 = wait.strip_suffix('s').unwrap().parse().unwrap();
    assert!(wait > (config.server.drain_delay + config.server.grace_period).as_secs());
}

#[test]
fn every_service_is_confined() {
    let compose = compose();
    let services = compose["services"].as_mapping().unwrap();
    let names: BTreeSet<&str> = services.keys().filter_map(Value::as_str).collect();
    assert_eq!(names, BTreeSet::from(["segue", "packager-a", "packager-b", "relay", "encoder"]));
    for (name, service) in services {
        assert_eq!(service["read_only"], Value::Bool(true), "{name:?}");
        assert_eq!(service["cap_drop"][0], Value::from("ALL"), "{name:?}");
        let build = service["build"]["context"].as_str().unwrap();
        let file = service["build"]["dockerfile"].as_str().unwrap_or("Dockerfile");
        let dir = repository("docker").join(build);
        assert!(dir.join(file).exists(), "{name:?}: no {file} in {build}");
    }
}

/// Each instruction of a Dockerfile on one line, without comments.
fn instructions(path: &str) -> Vec<(String, String)> {
    let text = read(path);
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let split = |line: &str| {
        line.split_once(' ').map(|(word, rest)| (word.to_owned(), rest.trim().to_owned()))
    };
    joined.lines().filter(|line| !line.trim().is_empty()).map(|line| split(line).unwrap()).collect()
}

#[test]
fn the_images_are_as_promised() {
    const WORDS: [&str; 12] = [
        "FROM",
        "RUN",
        "COPY",
        "WORKDIR",
        "USER",
        "VOLUME",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
        "ENV",
    ];
    for path in ["docker/Dockerfile", "docker/packager/Dockerfile"] {
        let lines = instructions(path);
        assert_eq!(lines[0].0, "FROM", "{path}");
        for (word, _) in &lines {
            assert!(WORDS.contains(&word.as_str()), "{path}: {word}");
        }
        let user = lines.iter().rev().find(|(word, _)| word == "USER").unwrap();
        assert!(
            !user.1.starts_with("root") && !user.1.starts_with('0'),
            "{path} runs as {}",
            user.1
        );
        // What is copied is there.
        let copied =
            lines.iter().filter(|(word, rest)| word == "COPY" && !rest.starts_with("--from="));
        for (_, rest) in copied {
            let mut names: Vec<&str> = rest.split_whitespace().collect();
            names.pop();
            let dir = if path == "docker/Dockerfile" {
                repository("")
            } else {
                repository("docker/packager")
            };
            assert!(names.iter().all(|name| dir.join(name).exists()), "{path}: {rest}");
        }
    }
}

#[test]
fn the_image_of_segue_checks_its_health_and_is_built_by_a_new_enough_compiler() {
    let lines = instructions("docker/Dockerfile");
    assert!(
        lines.iter().filter(|(word, _)| word == "FROM").count() == 2,
        "built in one stage, run in another"
    );
    let health = &lines.iter().find(|(word, _)| word == "HEALTHCHECK").unwrap().1;
    assert!(health.ends_with("CMD [\"segue\", \"health\"]"), "{health}");
    // The compiler of the image is the one that the package asks for, or newer.
    let manifest = read("Cargo.toml");
    let wanted = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap()
        .trim_matches('"');
    let image = lines[0].1.strip_prefix("rust:").and_then(|rest| rest.split_once('-')).unwrap().0;
    let minor = |version: &str| version.split('.').nth(1).unwrap().parse::<u32>().unwrap();
    assert!(minor(image) >= minor(wanted), "rust:{image} builds what wants {wanted}");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// nginx itself reads copies that differ in ports, names and the directory written to.
#[test]
fn nginx_takes_its_configurations() {
    for file in ["packager", "relay"] {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().to_str().unwrap();
        let adapted = read(&format!("docker/packager/{file}.conf"))
            .replace("/tmp", place)
            .replace("listen 1935", &format!("listen 127.0.0.1:{}", free_port()))
            .replace("listen 8080", &format!("listen 127.0.0.1:{}", free_port()))
            .replace("//packager-a:", "//127.0.0.1:")
            .replace("//packager-b:", "//127.0.0.1:");
        let conf = dir.path().join("nginx.conf");
        std::fs::write(&conf, adapted).unwrap();
        let path =
            format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap_or_default());
        let mut nginx = Command::new("sh");
        nginx.args(["-c", "exec nginx -t -c \"$0\""]).arg(&conf).env("PATH", path);
        let output = nginx.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{file}.conf (wants nginx and libnginx-mod-rtmp): {said}");
    }
}
