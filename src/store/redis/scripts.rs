//! What has to be done at once is a script, which the server runs between two commands of others.

use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind};

/// A script of this store.
pub struct Script {
    text: &'static str,
    hash: String,
}

macro_rules! scripts {
    ($($name:ident = $file:literal),+ $(,)?) => {
        $(pub static $name: LazyLock<Script> = LazyLock::new(|| {
            let text = include_str!(concat!("scripts/", $file, ".lua"));
            Script { text, hash: redis::Script::new(text).get_hash().to_owned() }
        });)+

        fn all() -> Vec<&'static Script> {
            vec![$(&*$name),+]
        }
    };
}

scripts!(
    APPEND = "append",
    BEGIN = "begin",
    CREATE = "create",
    DRAIN = "drain",
    EXPIRE = "expire",
    INDEX = "index",
    READ = "read",
    TARGET = "target",
    TRIM = "trim",
    WANT = "want",
);

impl Script {
    /// Runs it: one round trip, and a second one where the server does not know it any more.
    pub async fn run<T: FromRedisValue>(
        &self,
        connection: &mut MultiplexedConnection,
        keys: &[String],
        values: &[String],
    ) -> RedisResult<T> {
        match self.by_hash(keys, values).query_async(connection).await {
            Err(error) if is_unknown(&error) => {
                command("EVAL", self.text, keys, values).query_async(connection).await
            }
            answer => answer,
        }
    }

    /// As a command of a pipeline. The caller loads scripts where the server does not know it.
    pub fn by_hash(&self, keys: &[String], values: &[String]) -> Cmd {
        command("EVALSHA", &self.hash, keys, values)
    }
}

fn command(name: &str, script: &str, keys: &[String], values: &[String]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(keys.len()).arg(keys).arg(values);
    command
}

/// The server does not know the script (any more).
pub fn is_unknown(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Makes all scripts known to the server.
pub async fn load(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let mut pipeline = Pipeline::new();
    for script in all() {
        pipeline.cmd("SCRIPT").arg("LOAD").arg(script.text).ignore();
    }
    pipeline.exec_async(connection).await
}

/// Runs a pipeline in which there are scripts.
pub async fn run_pipeline<T: FromRedisValue>(
    pipeline: &Pipeline,
    connection: &mut MultiplexedConnection,
) -> RedisResult<T> {
    match pipeline.query_async(connection).await {
        Err(error) if is_unknown(&error) => {
            load(connection).await?;
            pipeline.query_async(connection).await
        }
        answer => answer,
    }
}
