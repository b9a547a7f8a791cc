//! What is said of keys about authorisation: errors, warnings, and what `segue check` sums up.

use std::process::Command;

use crate::{parse, said};

/// A pool with these keys.
fn pool(keys: &str) -> String {
    format!("pools:\n- name: live\n  packagers: [{{ id: a, url: \"http://a\" }}]\n  {keys}\n")
}

const SECRET: &str = "a-secret-of-many-letters";

#[test]
fn what_is_wrong() {
    for (keys, expected) in [
        ("auth: all", "auth: `all` is neither none nor per_viewer"),
        (
            "auth_queries: [DVR]",
            "auth_queries[0]: `DVR` is `DVR` of identity_queries as well: a query names a stream or authorises a \
             viewer; take it out of one of them",
        ),
        (
            "identity_queries: [cam, token1]\n  auth_queries: [key, \"tok*\"]",
            "auth_queries[1]: `tok*` is `token1` of identity_queries as well: a query names a stream or authorises \
             a viewer; take it out of one of them",
        ),
        (
            "auth_queries: [\"*\"]",
            "auth_queries[0]: `*` would pass on everything; write names, or such as wowzatoken*",
        ),
        (
            "auth_queries: [\"a*b\"]",
            "auth_queries[0]: `a*b` is no name of a query; write the name alone, such as DVR",
        ),
        (
            "auth_headers: [Host]",
            "auth_headers[0]: `Host` cannot be passed on: Segue sets this header itself",
        ),
        (
            "auth_headers: [X-Forwarded-For]",
            "auth_headers[0]: `X-Forwarded-For` cannot be passed on: Segue sets this header itself",
        ),
        ("auth_headers: [\"a b\"]", "auth_headers[0]: `a b` is no name of a header"),
        (
            "auth_queries: [token]\n  auth_expiry_query: end",
            "auth_expiry_query: `end` is not among auth_queries; name it there",
        ),
        (
            "auth_expires_seconds: 1",
            "auth_expires_seconds: wants a whole number from 10 to 2592000; this is 1",
        ),
        (
            "credentials: { queries: { t: \"hush & more\" } }",
            "credentials.queries.t: is empty, too long, or has a letter that cannot stand in a query; percent-encode \
             it",
        ),
        (
            "credentials: { queries: { DVR: hush } }",
            "credentials.queries.DVR: `DVR` stands in identity_queries: a viewer's would take its place",
        ),
        (
            "credentials: { headers: { Host: a } }",
            "credentials.headers.Host: cannot be set here: use the key `host`",
        ),
        (
            "credentials: { query: {} }",
            "credentials.query: unknown key; known here: queries, headers",
        ),
        (
            "origin_secret_header: { value: \"0123456789abcdef\" }",
            "origin_secret_header.name: is missing",
        ),
        ("origin_secret_header: { name: X-S }", "origin_secret_header.value: is missing"),
        (
            "origin_secret_header: { name: X-S, value: short }",
            "origin_secret_header.value: has 5 letters and wants 16 or more",
        ),
    ] {
        let told = said(&pool(keys));
        let (line, text) = told.split_once(" pools[0].").unwrap_or_default();
        assert!(line.starts_with("f.yaml:") && text == expected, "{keys}\n{told}");
        assert!(!told.contains("hush"), "{told}");
    }
    let own = "auth_headers: [X-Key]\n  auth: per_viewer\n";
    let told = said(&pool(own).replace("\"http://a\"", "\"http://a\", headers: { x-key: hush }"));
    let expected = "f.yaml:4: pools[0].auth_headers: names `x-key`, which stands in the headers of a packager: move \
                    it there to `credentials`";
    assert_eq!(told, expected);
    let told = said(&format!("{}trusted_proxies: [10.0.0.0/33]\n", pool("")));
    assert!(
        told.ends_with("is no network; write such as 10.0.0.0/8, fd00::/8 or 10.0.0.1"),
        "{told}"
    );
}

#[test]
fn what_should_be_known() {
    let credentials = format!("credentials: {{ headers: {{ X-Key: {SECRET} }} }}");
    let named = "auth_queries: [token]";
    for (keys, warnings) in [
        (named.to_owned(), &[("auth_queries", "every viewer gets in")][..]),
        ("auth_headers: [X-Key]".to_owned(), &[("auth_headers", "every viewer gets in")]),
        (format!("auth: per_viewer\n  {credentials}"), &[("auth", "cannot tell one from another")]),
        (format!("auth: per_viewer\n  {named}"), &[("auth", "without `credentials`")]),
        (
            "auth: per_viewer".to_owned(),
            &[("auth", "cannot tell one from another"), ("auth", "without `credentials`")],
        ),
        (format!("auth: per_viewer\n  {named}\n  {credentials}"), &[]),
        (credentials.clone(), &[]),
    ] {
        let config = parse(&pool(&keys)).unwrap();
        let told = &config.warnings;
        assert_eq!(told.len(), warnings.len(), "{keys}: {told:?}");
        for (warning, (key, text)) in told.iter().zip(warnings) {
            assert_eq!(warning.key, format!("pools[0].{key}"));
            assert!(warning.text.contains(text), "{warning:?}");
        }
        assert!(!format!("{config:?}").contains(SECRET), "{config:?}");
    }
    let config = parse(&format!("{}trusted_proxies: [\"0.0.0.0/0\"]\n", pool(""))).unwrap();
    assert_eq!(config.warnings[0].key, "trusted_proxies");
}

#[test]
fn check_sums_it_up_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "{}trusted_proxies: [\"10.0.0.0/8\", \"::1\"]\n",
        pool(&format!(
            "auth: per_viewer\n  auth_queries: [\"wowzatoken*\"]\n  auth_headers: [Authorization]\n  \
             credentials: {{ queries: {{ t: {SECRET} }}, headers: {{ X-Key: {SECRET} }} }}\n  \
             origin_secret_header: {{ name: X-S, value: {SECRET}, other_values: [{SECRET}] }}"
        ))
    );
    std::fs::write(dir.path().join("f.yaml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_segue"));
    let output =
        command.args(["check", "--conf", "f.yaml"]).current_dir(dir.path()).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{told}");
    assert!(told.contains("trusted   10.0.0.0/8 ::1/128\n"), "{told}");
    let table = "\
POOL  AUTH        VIEWERS SHOW               FOR     SEGUE SHOWS  SECRET
live  per_viewer  wowzatoken* authorization  3600 s  t x-key      in x-s (values: 2)
";
    assert!(told.ends_with(table) && !told.contains(SECRET), "{told}");
}
