//! `${NAME}` in a value takes an environment variable; `$${` stands for `${` itself. It is done after
//! parsing, so that what a variable holds can never change the shape of the file.

use serde_yaml::Value;

use super::lines::Path;
use super::section::Report;

/// Looks up an environment variable.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces `${NAME}` in every text value below `value`; keys stay as they are.
pub(super) fn substitute(
    value: &mut Value,
    path: &Path,
    environment: Environment<'_>,
    report: &Report,
) {
    match value {
        Value::String(text) if text.contains("${") => match substituted(text, environment) {
            Ok(new) => *text = new,
            Err(why) => report.error(path, why),
        },
        Value::Sequence(items) => {
            for (n, item) in items.iter_mut().enumerate() {
                substitute(item, &path.item(n), environment, report);
            }
        }
        Value::Mapping(map) => {
            for (key, item) in map.iter_mut() {
                let key = key.as_str().unwrap_or("?");
                substitute(item, &path.key(key), environment, report);
            }
        }
        _ => {}
    }
}

fn substituted(text: &str, environment: Environment<'_>) -> Result<String, String> {
    let mut new = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            new.extend([before, "${"]);
            rest = after;
            continue;
        }
        let Some((name, after)) = after.split_once('}') else {
            return Err("has `${` without `}`; write `$${` for `${` itself".to_owned());
        };
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(word) {
            return Err(format!(
                "`${{{name}}}` is no name of an environment variable; write `$${{` for `${{` itself"
            ));
        }
        let Some(found) = environment(name) else {
            return Err(format!(
                "the environment variable {name} is not set; set it, or write `$${{` for `${{` itself"
            ));
        };
        new.extend([before, &found]);
        rest = after;
    }
    new.push_str(rest);
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::substituted;

    #[test]
    fn variables() {
        let environment = |name: &str| (name == "A").then(|| "x: ${B}".to_owned());
        for (text, new) in [
            ("${A}", "x: ${B}"),
            ("<${A}${A}>", "<x: ${B}x: ${B}>"),
            ("$${A}", "${A}"),
            ("$$${A}", "$${A}"),
            ("$A {A}", "$A {A}"),
        ] {
            assert_eq!(substituted(text, &environment).as_deref(), Ok(new), "{text}");
        }
        for text in ["${B}", "${", "${}", "${a-b}", "a ${A} ${A"] {
            assert!(substituted(text, &environment).is_err(), "{text}");
        }
    }
}
