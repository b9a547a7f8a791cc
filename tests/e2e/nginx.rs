//! nginx as each test needs it: one process in the foreground, everything in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::process::Process;

/// Starts nginx with `config` (the blocks below the main level) in `folder`.
/// `workers`: false keeps all in one process, so that one signal reaches all of it.
pub fn start(name: &str, folder: &Path, config: &str) -> Process {
    std::fs::create_dir_all(folder).unwrap();
    let main = format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr info;\n\
         load_module {};\nevents {{ worker_connections 1024; }}\n{config}",
        rtmp_module().display()
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, main).unwrap();
    let mut nginx = Command::new(program());
    // `-e` before the file is read: the compiled-in default may not be writable.
    nginx.arg("-p").arg(folder).arg("-c").arg(&file).args(["-e", "stderr"]);
    Process::spawn(name, nginx, folder.parent().unwrap_or(folder))
}

/// Places for nginx's temporary files inside its folder.
pub const HTTP_TEMP_PATHS: &str = "client_body_temp_path temp; proxy_temp_path temp; \
     fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp; access_log off; log_not_found off;";

/// Debian keeps nginx in sbin, which users do not always have on their PATH.
fn program() -> &'static str {
    if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" }
}

fn rtmp_module() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let told = Command::new(program()).arg("-V").output().expect("nginx -V");
        let text = String::from_utf8_lossy(&told.stderr).into_owned();
        let folder = text.split_whitespace().find_map(|w| w.strip_prefix("--modules-path="));
        let module = Path::new(folder.unwrap_or("modules")).join("ngx_rtmp_module.so");
        assert!(module.exists(), "{} is missing: make setup-e2e", module.display());
        module
    })
}
