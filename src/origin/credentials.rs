//! What requests to a packager show to be let in: our own ask with the pool's credentials, those in a
//! viewer's name with what he showed and nothing of ours. And how many of the latter there may be at a
//! time.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::OriginError;
use super::book::{Entry, Waiter};
use super::endpoint::{EndpointError, Headers, headers_of};
use crate::model::query;
use crate::model::shown::Shown;

/// What opens a packager's playlists and segments to Segue itself. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Names and values of queries, as they stand in a URL.
    pub queries: Vec<(String, String)>,
    /// Headers.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} queries, {} headers)", self.queries.len(), self.headers.len())
    }
}

/// Credentials as they are used with every request.
pub(super) struct Ready {
    queries: Vec<(String, String)>,
    headers: Headers,
    forms: Vec<String>,
}

impl Ready {
    pub(super) fn new(credentials: &Credentials) -> Result<Self, EndpointError> {
        let queries = credentials.queries.clone();
        let headers = headers_of(&credentials.headers)?;
        Ok(Self { headers, forms: query::forms(&queries), queries })
    }

    /// A playlist without our queries, where the packager copied them into what it lists. They are put
    /// in again when that is asked for, so that what is known of a packager outlives a change of them.
    pub(super) fn taken_out(&self, body: Bytes) -> Bytes {
        query::without_forms(&body, &self.forms).map_or(body, Bytes::from)
    }
}

/// In whose name a request is made.
#[derive(Clone, Copy)]
pub(super) enum Shows<'a> {
    /// Our own: with the pool's credentials.
    Own,
    /// A viewer's, whose queries stand in the path already: with these headers.
    Viewer(&'a Headers),
}

impl<'a> Shows<'a> {
    /// Path and query as they are sent.
    pub(super) fn target<'t>(self, entry: &Entry, target: &'t str) -> Cow<'t, str> {
        match self {
            Self::Own if !entry.credentials.queries.is_empty() => {
                query::with_pairs(target, &entry.credentials.queries).into()
            }
            Self::Own | Self::Viewer(_) => target.into(),
        }
    }

    /// Headers on top of those that every request has.
    pub(super) fn headers(self, entry: &'a Entry) -> &'a Headers {
        match self {
            Self::Own => &entry.credentials.headers,
            Self::Viewer(headers) => headers,
        }
    }
}

/// The headers of a request in a viewer's name.
pub(super) fn headers_of_viewer(shown: &Shown) -> Result<Headers, OriginError> {
    let mut all = shown.headers.clone();
    all.extend(shown.address.clone().map(|address| ("x-forwarded-for".to_owned(), address)));
    headers_of(&all).map_err(|error| OriginError::Protocol(error.to_string()))
}

/// Places for requests in viewers' names. They take half of those of segments at the most, so that a
/// crowd that comes in, or a packager that is slow to let it in, holds up neither playlists nor segments.
pub(super) struct Viewers {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Viewers {
    pub(super) fn new(requests: usize, waiting_max: usize) -> Self {
        let places = ((requests - requests / 4) / 2).max(1);
        let waiting = AtomicUsize::new(0);
        Self { places: Arc::new(Semaphore::new(places)), waiting, waiting_max }
    }

    /// Waits for a place. They have a queue of their own, or they would fill that of the others.
    pub(super) async fn take(&self) -> Result<OwnedSemaphorePermit, OriginError> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let waiter = Waiter(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.waiting_max {
            return Err(OriginError::Busy);
        }
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| OriginError::Busy);
        drop(waiter);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn viewers_leave_places_to_segments_and_wait_in_a_queue_that_ends() {
        for (requests, places) in [(1, 1), (2, 1), (4, 1), (8, 3), (32, 12)] {
            assert_eq!(Viewers::new(requests, 1).places.available_permits(), places, "{requests}");
        }
        let viewers = Viewers::new(1, 1);
        let first = viewers.take().await.unwrap();
        let mut second = Box::pin(viewers.take());
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        assert_eq!(viewers.take().await.err(), Some(OriginError::Busy));
        drop(first);
        drop(second.await.unwrap());
        drop(viewers.take().await.unwrap());
    }

    #[test]
    fn credentials_are_not_printed() {
        let hush = vec![("name".to_owned(), "hush".to_owned())];
        let credentials = Credentials { queries: hush.clone(), headers: hush };
        assert!(!format!("{credentials:?}").contains("hush"));
    }
}
