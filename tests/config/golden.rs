//! Golden text: a table of broken files and what is said of each.

use crate::{POOLS, said};

fn golden(cases: &[(&str, &str)]) {
    for (top, expected) in cases {
        assert_eq!(said(&format!("{POOLS}{top}\n")), *expected, "\n{top}");
    }
}

fn golden_pool(cases: &[(&str, &str)]) {
    for (keys, expected) in cases {
        let text = format!(
            "pools:\n- name: live\n  packagers: [{{ id: a, url: \"http://a\" }}]\n  {keys}\n"
        );
        assert_eq!(said(&text), *expected, "\n{keys}");
    }
}

const VIEWERS: &[(&str, &str)] = &[
    ("sessions: each", "f.yaml:4: pools[0].sessions: `each` is neither lane nor viewer"),
    (
        "people_per_stream: 0.5",
        "f.yaml:4: pools[0].people_per_stream: wants a number from 1.00 to 100.00; this is 0.5",
    ),
    (
        "people_per_stream: 1.755",
        "f.yaml:4: pools[0].people_per_stream: wants a number from 1.00 to 100.00; this is 1.755",
    ),
    (
        "people_per_stream: [2]",
        "f.yaml:4: pools[0].people_per_stream: wants a number from 1.00 to 100.00; this is a list",
    ),
    (
        "event_gap_seconds: 5",
        "f.yaml:4: pools[0].event_gap_seconds: wants a whole number from 10 to 604800; this is 5",
    ),
];

#[test]
fn viewers() {
    golden_pool(VIEWERS);
}

fn golden_packager(cases: &[(&str, &str)]) {
    for (packager, expected) in cases {
        let text = format!(
            "pools:\n- name: live\n  packagers:\n  - {{ id: z, url: \"http://z\" }}\n  - {packager}\n"
        );
        assert_eq!(said(&text), *expected, "\n{packager}");
    }
}

const TOP: &[(&str, &str)] = &[
    ("lisen: []", "f.yaml:2: lisen: unknown key; did you mean `listen`?"),
    ("listen: []", "f.yaml:2: listen: is empty; write such as [\"0.0.0.0:8080\"]"),
    ("listen: \"127.0.0.1:80\"", "f.yaml:2: listen: wants a list, such as [\"...\"]; this is text"),
    (
        "listen:\n- \"1.2.3.4:80\"\n- localhost:80",
        "f.yaml:4: listen[1]: `localhost:80` is no address; write an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080",
    ),
    (
        "listen: [\"1.2.3.4:80\", \"1.2.3.4:80\"]",
        "f.yaml:2: listen[1]: address `1.2.3.4:80` stands at listen[0] already",
    ),
    ("listen: [\"1.2.3.4:0\"]", "f.yaml:2: listen[0]: wants a port other than 0"),
    ("listen: [80]", "f.yaml:2: listen[0]: wants text in quotes; this is a number"),
    (
        "admin: \"127.0.0.1:8080\"",
        "f.yaml:2: admin: address `127.0.0.1:8080` stands at listen already",
    ),
    (
        "listen: [\"127.0.0.1:9090\"]",
        "f.yaml: admin: address `127.0.0.1:9090` stands at listen already",
    ),
    ("admin_token: short", "f.yaml:2: admin_token: has 5 letters and wants 16 or more"),
    (
        "zone: AZ_1",
        "f.yaml:2: zone: `AZ_1` may have 1 to 32 of a-z, 0-9 and -, and does not begin with -",
    ),
    ("zone: 1", "f.yaml:2: zone: wants text in quotes; this is a number"),
    ("zone:", "f.yaml:2: zone: has no value: write one, or leave the key out"),
    (
        "store: redis://u:hush@127.0.0.1/live",
        "f.yaml:2: store: has a path that is no number of a database; write such as redis://cache.internal:6379/0",
    ),
    (
        "store: redis:u:hush@cache",
        "f.yaml:2: store: begins with none of redis://, rediss://, valkey:// and valkeys://",
    ),
    (
        "store: redis://hush@cache",
        "f.yaml:2: store: names a user without a password; write redis://user:password@host",
    ),
    (
        "store: redis://cache\nredis: { ca: ca.pem }",
        "f.yaml:3: redis.ca: is of use with TLS only: write `store: \"rediss://…\"`, or take this away",
    ),
    (
        "store: rediss://cache\nredis: { ca: /nowhere/ca.pem }",
        "f.yaml:3: redis.ca: `/nowhere/ca.pem` cannot be read: No such file or directory (os error 2)",
    ),
    (
        "redis: { prefix: \"a{b}\" }",
        "f.yaml:2: redis.prefix: `a{b}` may have 1 to 32 of a-z, 0-9 and -, and does not begin with -",
    ),
    (
        "redis: { timeout_ms: 5 }",
        "f.yaml:2: redis.timeout_ms: wants a whole number from 50 to 10000; this is 5",
    ),
    (
        "store: \"sqlite:\"",
        "f.yaml:2: store: wants a file, such as sqlite:segue.db or sqlite:/var/lib/segue/segue.db",
    ),
    (
        "store: postgres",
        "f.yaml:2: store: is no store; write sqlite:PATH (one proxy), redis://HOST:PORT (several) or memory",
    ),
    (
        "segments: { memory: 0 }",
        "f.yaml:2: segments.memory: wants a size from 1 to 1048576GiB, such as \"512MiB\", \"1GiB\" or a number of bytes",
    ),
    (
        "segments: { memory: 1MiB }",
        "f.yaml:2: segments.memory: 1MiB does not hold one segment of origin.segment_bytes, 64MiB; raise it or lower that",
    ),
    (
        "segments: { disk: 1GB }",
        "f.yaml:2: segments.disk: wants a size from 1 to 1048576GiB, such as \"512MiB\", \"1GiB\" or a number of bytes",
    ),
    (
        "segments: { size: 1 }",
        "f.yaml:2: segments.size: unknown key; known here: dir, memory, disk",
    ),
    ("segments: here", "f.yaml:2: segments: wants a map of keys, this is text"),
    (
        "token_keys: [\"${SHORT}\"]",
        "f.yaml:2: token_keys[0]: has 5 bytes and wants 32 or more; make one with: openssl rand -base64 32",
    ),
    (
        "token_keys: [\"***\"]",
        "f.yaml:2: token_keys[0]: is not base64; make one with: openssl rand -base64 32",
    ),
    (
        "token_keys:\n- \"${KEY}\"\n- \"${NONE}\"",
        "f.yaml:4: token_keys[1]: the environment variable NONE is not set; set it, or write `$${` for `${` itself",
    ),
    (
        "server: { threads: 0 }",
        "f.yaml:2: server.threads: wants a whole number from 1 to 1024; this is 0",
    ),
    (
        "server: { threads: two }",
        "f.yaml:2: server.threads: wants a whole number from 1 to 1024; this is `two`",
    ),
    (
        "server: { threads: 1.5 }",
        "f.yaml:2: server.threads: wants a whole number from 1 to 1024; this is 1.5",
    ),
    (
        "server: { threads: [1] }",
        "f.yaml:2: server.threads: wants a whole number from 1 to 1024; this is a list",
    ),
    (
        "server: { grace_period: 5 }",
        "f.yaml:2: server.grace_period: unknown key; known here: upgrade_sock, threads, drain_delay_seconds, grace_period_seconds, pid_file, keepalive_timeout_seconds, keepalive_requests",
    ),
    (
        "limits:\n  lanes: -1",
        "f.yaml:3: limits.lanes: wants a whole number from 1 to 10000000; this is -1",
    ),
    (
        "limits: { header_bytes: 2MiB }",
        "f.yaml:2: limits.header_bytes: wants a size from 1KiB to 1MiB, such as \"512MiB\", \"1GiB\" or a number of bytes",
    ),
    ("limits: { 1: 2 }", "f.yaml:2: limits: has a key that is a number: keys are text"),
    (
        "log: { level: loud }",
        "f.yaml:2: log.level: `loud` is not one of error, warn, info, debug, trace",
    ),
    ("log: { format: xml }", "f.yaml:2: log.format: `xml` is not one of text, json"),
    ("log: { levle: info }", "f.yaml:2: log.levle: unknown key; did you mean `level`?"),
];

#[test]
fn top_level() {
    golden(TOP);
}

const WEBHOOK: &[(&str, &str)] = &[
    ("{ name: x }", "f.yaml:2: webhooks[0].url: is missing"),
    (
        "{ url: \"ftp://u-secret/\" }",
        "f.yaml:2: webhooks[0].url: is no URL; write https://HOST/PATH or http://HOST/PATH",
    ),
    (
        "{ url: \"https://u:secret@h/\" }",
        "f.yaml:2: webhooks[0].url: wants no user and password; set the header Authorization under `headers`",
    ),
    (
        "{ url: \"https://h/\", events: [splices] }",
        "f.yaml:2: webhooks[0].events[0]: `splices` is not one of packager_down, packager_up, splice, no_standby, standby_back, stream_started, stream_ended",
    ),
    (
        "{ url: \"https://h/\", events: [] }",
        "f.yaml:2: webhooks[0].events: is empty; leave it out for all events",
    ),
    (
        "{ url: \"https://h/\", secret: short }",
        "f.yaml:2: webhooks[0].secret: has 5 letters and wants 16 or more",
    ),
    (
        "{ url: \"https://h/\", headers: { Content-Type: x } }",
        "f.yaml:2: webhooks[0].headers.Content-Type: cannot be set here: Segue sets this header itself",
    ),
    (
        "{ url: \"https://h/\", queue: 0 }",
        "f.yaml:2: webhooks[0].queue: wants a whole number from 1 to 100000; this is 0",
    ),
    (
        "{ url: \"https://h/1\" }, { url: \"https://H/2\" }",
        "f.yaml:2: webhooks[1].name: webhook `h` stands at webhooks[0].name already; give each a `name`",
    ),
    (
        "{ url: \"https://h/1\", name: x }, { url: \"https://h/2\", name: x }",
        "f.yaml:2: webhooks[1].name: webhook `x` stands at webhooks[0].name already",
    ),
    (
        "{ url: \"https://h/\", retries: 3 }",
        "f.yaml:2: webhooks[0].retries: unknown key; known here: url, name, events, headers, secret, timeout_seconds, retry_for_seconds, queue",
    ),
];

#[test]
fn webhooks() {
    for (hooks, expected) in WEBHOOK {
        assert_eq!(said(&format!("{POOLS}webhooks: [{hooks}]\n")), *expected, "\n{hooks}");
    }
}

const POOL: &[(&str, &str)] = &[
    ("host: [x]", "f.yaml:4: pools[0].host: unknown key; did you mean `hosts`?"),
    (
        "hosts: [\"http://x\"]",
        "f.yaml:4: pools[0].hosts[0]: `http://x` is no host; write a name without scheme and port, *.example.com, or *",
    ),
    ("hosts: [X, x]", "f.yaml:4: pools[0].hosts[1]: host `x` stands at pools[0].hosts[0] already"),
    (
        "identity_queries: [\"DVR=1\"]",
        "f.yaml:4: pools[0].identity_queries[0]: `DVR=1` is no name of a query; write the name alone, such as DVR",
    ),
    (
        "window_seconds: 10\n  target_duration_seconds: 4",
        "f.yaml:4: pools[0].window_seconds: wants at least 12: a live playlist lists three target durations",
    ),
    (
        "url_base: \"https://x-{zone}.example.com\"",
        "f.yaml:4: pools[0].url_base: holds {zone}, but the key `zone` is not set",
    ),
    (
        "url_base: \"https://{host}/\"",
        "f.yaml:4: pools[0].url_base: may hold {zone} and no other name in braces",
    ),
    (
        "url_base: cdn.example.com",
        "f.yaml:4: pools[0].url_base: `cdn.example.com` is no URL to begin others with; write such as https://media-{zone}.example.com",
    ),
    (
        "zone_hosts: { \"*.x\": az1 }",
        "f.yaml:4: pools[0].zone_hosts.*.x: wants an exact name: `hosts` takes patterns, this does not",
    ),
    (
        "zone_hosts: { x: AZ }",
        "f.yaml:4: pools[0].zone_hosts.x: `AZ` may have 1 to 32 of a-z, 0-9 and -, and does not begin with -",
    ),
    (
        "zone_hosts: { x: az1, X: az2 }",
        "f.yaml:4: pools[0].zone_hosts.X: stands twice: names of hosts do not differ by case",
    ),
    (
        "zone_hosts: [x]",
        "f.yaml:4: pools[0].zone_hosts: wants a map of names to text; this is a list",
    ),
    (
        "zone_hosts: { x: az1 }\n- name: two\n  hosts: [y, x]\n  packagers: [{ id: b, url: \"http://b\" }]",
        "f.yaml:6: pools[1].hosts[1]: host `x` stands at pools[0].zone_hosts.x already",
    ),
    ("health: { path: x }", "f.yaml:4: pools[0].health.path: `x` is no path; it begins with /"),
    (
        "health: { intervall_seconds: 1 }",
        "f.yaml:4: pools[0].health.intervall_seconds: unknown key; did you mean `interval_seconds`?",
    ),
    (
        "origin:\n    connect_timeout: 1",
        "f.yaml:5: pools[0].origin.connect_timeout: unknown key; known here: connect_timeout_ms, requests, waiting, playlist_bytes, segment_bytes",
    ),
    (
        "answers: { cors_origins: [\"https://a/b\"] }",
        "f.yaml:4: pools[0].answers.cors_origins[0]: `https://a/b` is no origin; write https://HOST[:PORT] without a path, or *",
    ),
    (
        "answers: { max_age: 1 }",
        "f.yaml:4: pools[0].answers.max_age: unknown key; known here: playlist_max_age_seconds, entry_max_age_seconds, segment_max_age_seconds, cors_origins",
    ),
    ("- name: live", "f.yaml:4: is not YAML: did not find expected key"),
];

#[test]
fn pools() {
    golden_pool(POOL);
    for (text, expected) in [
        ("", "f.yaml: pools: is empty; name one or more, each with its packagers"),
        (
            "pools: {}",
            "f.yaml:1: pools: wants a list of maps, each beginning with `- `; this is a map",
        ),
        ("pools: [live]", "f.yaml:1: pools[0]: wants a map of keys, this is text"),
        (
            "pools:\n- name: live\n  packagers: []",
            "f.yaml:3: pools[0].packagers: is empty; name one or more, such as - { id: a, url: \"http://10.0.0.1:1935\" }",
        ),
        (
            "pools:\n- &p { name: live, hosts: [x], packagers: [{ id: a, url: \"http://a\" }] }\n- <<: *p\n  name: two\n  hosts: [y]",
            "f.yaml:3: pools[1].packagers[0].id: packager `a` stands at pools[0].packagers[0].id already",
        ),
        ("a: 1\na: 2", "f.yaml:1: is not YAML: duplicate entry with key \"a\""),
        ("- a", "f.yaml: wants a map of keys, this is a list"),
    ] {
        assert_eq!(said(text), expected, "\n{text}");
    }
}

const PACKAGER: &[(&str, &str)] = &[
    (
        "{ id: z, url: \"http://b\" }",
        "f.yaml:5: pools[0].packagers[1].id: packager `z` stands at pools[0].packagers[0].id already",
    ),
    (
        "{ id: B, url: \"http://b\" }",
        "f.yaml:5: pools[0].packagers[1].id: `B` may have 1 to 32 of a-z, 0-9 and -, and does not begin with -",
    ),
    ("{ id: b }", "f.yaml:5: pools[0].packagers[1].url: is missing"),
    ("{ url: \"http://b\" }", "f.yaml:5: pools[0].packagers[1].id: is missing"),
    (
        "id: b\n    url: http://b/live",
        "f.yaml:6: pools[0].packagers[1].url: wants no path and no query: viewers' paths are asked of the packager as they are",
    ),
    (
        "{ id: b, url: \"b:80\" }",
        "f.yaml:5: pools[0].packagers[1].url: `b:80` is no URL; write http://HOST:PORT or https://HOST:PORT",
    ),
    (
        "{ id: b, url: \"http://u:p@b\" }",
        "f.yaml:5: pools[0].packagers[1].url: wants no user and password; set the header Authorization under `headers`",
    ),
    (
        "{ id: b, url: \"http://b:0\" }",
        "f.yaml:5: pools[0].packagers[1].url: has a bad port; ports go from 1 to 65535",
    ),
    (
        "{ id: b, url: \"http://b\", weight: 0 }",
        "f.yaml:5: pools[0].packagers[1].weight: wants a whole number from 1 to 1000; this is 0",
    ),
    (
        "{ id: b, url: \"http://b\", host: \"a/b\" }",
        "f.yaml:5: pools[0].packagers[1].host: `a/b` is no host; write NAME or NAME:PORT",
    ),
    (
        "{ id: b, url: \"http://b\", sni: b }",
        "f.yaml:5: pools[0].packagers[1].sni: is of use only with an https url",
    ),
    (
        "{ id: b, url: \"https://b\", sni: 1.2.3.4 }",
        "f.yaml:5: pools[0].packagers[1].sni: `1.2.3.4` is no DNS name",
    ),
    (
        "{ id: b, url: \"https://b\", ca: /nowhere/ca.pem }",
        "f.yaml:5: pools[0].packagers[1].ca: `/nowhere/ca.pem` cannot be read: No such file or directory (os error 2)",
    ),
    (
        "{ id: b, url: \"http://b\", headers: { \"a b\": x } }",
        "f.yaml:5: pools[0].packagers[1].headers.a b: is no name of a header",
    ),
    (
        "{ id: b, url: \"http://b\", headers: { Host: x } }",
        "f.yaml:5: pools[0].packagers[1].headers.Host: cannot be set here: use the key `host`",
    ),
    (
        "{ id: b, url: \"http://b\", headers: { X: \"a\\nb\" } }",
        "f.yaml:5: pools[0].packagers[1].headers.X: has a value that no header can carry: visible ASCII only",
    ),
    (
        "{ id: b, url: \"http://b\", headers: { X: a, x: b } }",
        "f.yaml:5: pools[0].packagers[1].headers.x: stands twice: names of headers do not differ by case",
    ),
    (
        "{ id: b, url: \"http://b\", port: 80 }",
        "f.yaml:5: pools[0].packagers[1].port: unknown key; known here: id, url, ca, sni, wowza, wcs, zone, weight, capacity, host, headers, addresses, file, packagers_max, leave_within_seconds",
    ),
];

#[test]
fn packagers() {
    golden_packager(PACKAGER);
}
