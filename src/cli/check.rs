//! `segue check`: what is wrong with a configuration, or what it says in short.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use segue::config::Config;

/// Prints the problems to standard error, or a summary to standard output.
pub fn check(conf: &Path) -> ExitCode {
    match Config::load(conf) {
        Ok(config) => {
            print_warnings(conf, &config);
            print!("{}", summary(conf, &config));
            ExitCode::SUCCESS
        }
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what is accepted but should be known.
pub fn print_warnings(conf: &Path, config: &Config) {
    for warning in &config.warnings {
        eprintln!("{}:{warning} (a warning)", conf.display());
    }
}

fn summary(conf: &Path, config: &Config) -> String {
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    let segments = match &config.segments.dir {
        Some(dir) => format!(
            "{} ({}), memory {}",
            dir.display(),
            config.segments.disk,
            config.segments.memory
        ),
        None => format!("memory {}", config.segments.memory),
    };
    let mut text = format!("{} is right.\n\n", conf.display());
    let mut rows = vec![
        row(["listen", &listen.join(" ")]),
        row(["admin", &config.admin.to_string()]),
        row(["store", &config.store.to_string()]),
        row(["segments", &segments]),
    ];
    if !config.zone.is_empty() {
        rows.push(row(["zone", &config.zone]));
    }
    table(&mut text, &rows);
    text.push('\n');
    let mut rows = vec![row(["POOL", "HOSTS", "PACKAGER", "URL", "ZONE", "WEIGHT"])];
    for pool in &config.pools {
        let hosts = pool.hosts.join(" ");
        let mut first = (pool.name.as_str(), hosts.as_str());
        for packager in &pool.packagers {
            let (name, hosts) = std::mem::take(&mut first);
            let zone = if packager.zone.is_empty() { "-" } else { &packager.zone };
            let url = packager.url.to_string();
            rows.push(row([
                name,
                hosts,
                packager.id.as_str(),
                &url,
                zone,
                &packager.weight.to_string(),
            ]));
        }
    }
    table(&mut text, &rows);
    text
}

pub fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Appends `rows` with each column as wide as its widest cell.
pub fn table(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell: &String| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.extend([line.trim_end(), "\n"]);
    }
}
