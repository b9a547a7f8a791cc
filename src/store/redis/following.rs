//! Hearing of changes: a subscription on a connection of its own. While there is none, everybody is told to
//! look at all, twice a second.

use std::sync::Arc;
use std::time::Duration;

use redis::{FromRedisValue, PushInfo, PushKind, Value};
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::connect::{Heard, check};
use super::link::{Link, State, Wait, until};
use crate::model::names::{LaneId, OutputMsn};
use crate::model::token::is_id;
use crate::store::{Change, Changed, StoreObserver};

/// How often receivers look at all while changes are not heard of.
const POLL_EVERY: Duration = Duration::from_millis(500);
/// How often the subscription's connection is asked whether it lives, and how long it may take to answer.
const CHECK_EVERY: Duration = Duration::from_secs(2);
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// See the file.
pub struct Following {
    pub link: Arc<Link>,
    pub channel: String,
    pub changes: broadcast::Sender<Change>,
    pub observer: Arc<dyn StoreObserver>,
    /// Changes are heard of.
    pub alive: watch::Sender<bool>,
}

impl Following {
    /// Subscribes, tells, and subscribes again.
    pub async fn follow(&self) {
        let mut wait = Wait::new();
        loop {
            let mut state = self.link.watch();
            self.polling(until(&mut state, |state| matches!(state, State::Up(_)))).await;
            let served_by = number(&self.link.watch().borrow());
            let gone = Arc::new(Notify::new());
            match self.polling(self.subscribe(&gone)).await {
                Ok(connection) => {
                    wait = Wait::new();
                    // What came before is not known.
                    self.look_at_all();
                    self.alive.send_replace(true);
                    self.listen(connection, &gone, served_by).await;
                    self.alive.send_replace(false);
                    self.look_at_all();
                }
                Err(why) => tracing::debug!(why, "changes are not heard of: looked for instead"),
            }
            self.polling(wait.once_more()).await;
        }
    }

    /// Waits for `work` and has receivers look at all meanwhile.
    async fn polling<T>(&self, work: impl Future<Output = T>) -> T {
        let mut tick = interval(POLL_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = tick.tick() => self.look_at_all(),
            }
        }
    }

    fn look_at_all(&self) {
        self.observer.missed();
        // An error means that nobody listens.
        let _ = self.changes.send(None);
    }

    async fn subscribe(
        &self,
        gone: &Arc<Notify>,
    ) -> Result<redis::aio::MultiplexedConnection, String> {
        let (changes, gone) = (self.changes.clone(), gone.clone());
        let heard: Heard = Arc::new(move |push: PushInfo| match push.kind {
            PushKind::Message => {
                if let Some(change) = read(push.data) {
                    let _ = changes.send(Some(change));
                }
            }
            PushKind::Disconnection | PushKind::Unsubscribe => gone.notify_one(),
            _ => {}
        });
        let (mut connection, _) = self.link.place.connect(Some(&heard)).await?;
        let subscribed = timeout(CHECK_TIMEOUT, connection.subscribe(&self.channel)).await;
        subscribed.map_err(|_| "no answer".to_owned())?.map_err(|e| e.to_string())?;
        Ok(connection)
    }

    /// Until the subscription's connection is gone, or commands go to another server.
    async fn listen(
        &self,
        mut connection: redis::aio::MultiplexedConnection,
        gone: &Notify,
        served_by: Option<u64>,
    ) {
        let mut state = self.link.watch();
        let mut tick = interval(CHECK_EVERY);
        loop {
            let another =
                |state: &State| matches!(state, State::Up(_)) && number(state) != served_by;
            tokio::select! {
                () = gone.notified() => return,
                () = until(&mut state, another) => return,
                _ = tick.tick() => {
                    let answer = timeout(CHECK_TIMEOUT, check(&mut connection)).await;
                    if !matches!(answer, Ok(Ok(()))) {
                        return;
                    }
                }
            }
        }
    }
}

fn number(state: &State) -> Option<u64> {
    match state {
        State::Up(up) => Some(up.number),
        _ => None,
    }
}

/// What a message says, `LANE TAIL` with `-` for none. One that cannot be read is passed over.
fn read(data: Vec<Value>) -> Option<Changed> {
    let [_channel, payload] = <[Value; 2]>::try_from(data).ok()?;
    let text = String::from_redis_value(payload).ok()?;
    let (lane, tail) = text.split_once(' ')?;
    let tail = match tail {
        "-" => None,
        digits => Some(OutputMsn(digits.parse().ok()?)),
    };
    is_id(lane).then(|| Changed { lane: LaneId::new(lane), tail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_cannot_be_read_are_passed_over() {
        let of = |text: &str| {
            let bytes = |text: &str| Value::BulkString(text.as_bytes().to_owned());
            read(vec![bytes("segue:changes"), bytes(text)])
        };
        let changed = |tail| Some(Changed { lane: LaneId::new("a-1"), tail });
        assert_eq!(of("a-1 17"), changed(Some(OutputMsn(17))));
        assert_eq!(of("a-1 -"), changed(None));
        for text in ["", "a-1", "a-1 ", "a-1 x", "a/1 17", " 17", "a-1 17 18", "a-1 -7"] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(read(vec![Value::Nil]), None);
        assert_eq!(read(vec![Value::Nil, Value::Nil]), None);
    }
}
