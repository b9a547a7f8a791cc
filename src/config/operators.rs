//! What a command that asks a running proxy needs of its file: where it answers operators, and their token. The
//! rest is left alone: an operator's shell has none of the variables that only the proxy needs.

use std::net::SocketAddr;
use std::path::Path as FilePath;

use serde_yaml::{Mapping, Value};

use super::check::{problems, read_file, yaml};
use super::environment::substitute;
use super::error::ConfigErrors;
use super::lines::Path;
use super::section::{Report, Section};
use super::values::{Secret, secret_text};
use super::{Config, hosts};

/// The only keys that are looked at.
const KEYS: [&str; 2] = ["admin", "admin_token"];

/// Where a running proxy answers operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operators {
    /// As it stands at `admin`.
    pub admin: SocketAddr,
    /// What a request that changes things must bring; none: there are no such requests.
    pub token: Option<Secret<String>>,
}

impl Operators {
    /// Of the proxy that runs with the file at `path`.
    ///
    /// # Errors
    /// What is wrong with these keys; what is wrong with others is not looked for.
    pub fn load(path: &FilePath) -> Result<Self, ConfigErrors> {
        let file = path.display().to_string();
        let text = read_file(path).map_err(|why| ConfigErrors::whole(&file, None, why))?;
        Self::parse(&file, &text, &|name| std::env::var(name).ok())
    }

    /// The same of `text`; `file` names it in problems, `environment` is asked for variables.
    ///
    /// # Errors
    /// See [`Operators::load`].
    pub fn parse(
        file: &str,
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        let mut top = yaml(file, text)?;
        if let Value::Mapping(map) = &mut top {
            let wanted = |key: &str| Some((Value::from(key), map.get(key)?.clone()));
            *map = KEYS.into_iter().filter_map(wanted).collect::<Mapping>();
        }
        let report = Report::default();
        substitute(&mut top, &Path::default(), environment, &report);
        let operators = Section::read(&report, Path::default(), Some(&top), |section| Self {
            admin: section.parsed("admin", hosts::address).unwrap_or(Config::ADMIN),
            token: section.parsed("admin_token", |text| secret_text(text, 16)),
        });
        let (errors, ..) = report.take();
        if errors.is_empty() {
            Ok(operators)
        } else {
            Err(ConfigErrors { file: file.to_owned(), problems: problems(text, errors) })
        }
    }
}
