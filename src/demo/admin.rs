//! The admin port of a built-in packager: who may ask, and the ways in which it can be broken.

use http_auth::{ChallengeParser, DigestClient, PasswordParams};
use parking_lot::Mutex;

use super::http::{Request, Response};

/// What is wrong with an admin port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not answer.
    Hang,
    /// It refuses every user.
    Unauthorized,
    /// It answers something else.
    Garbage,
    /// It closes in the middle.
    Cut,
}

/// How it wants to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// By anybody.
    #[default]
    Open,
    /// With `admin-basic`.
    Basic,
    /// With `admin-digest`.
    Digest,
}

/// The one user there is.
pub const USER: &str = "segue";
/// His password.
pub const PASSWORD: &str = "let me in";

/// The door to an admin port.
#[derive(Debug, Default)]
pub struct Door {
    access: Access,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    fault: Option<Fault>,
    challenges: u32,
    let_in: u32,
    /// The last challenge given, which counts the answers to it as its asker does.
    given: Option<DigestClient>,
}

impl Door {
    pub fn new(access: Access) -> Self {
        Self { access, inner: Mutex::default() }
    }

    /// Breaks it, or mends it.
    pub fn set(&self, fault: Option<Fault>) {
        self.inner.lock().fault = fault;
    }

    /// How often it has asked who is there.
    pub fn challenges(&self) -> u32 {
        self.inner.lock().challenges
    }

    /// How often somebody got what he asked for.
    pub fn let_in(&self) -> u32 {
        self.inner.lock().let_in
    }

    /// The answer is `good`, if the asker may have it and nothing is broken.
    pub async fn answer(&self, request: &Request, good: impl FnOnce() -> Response) -> Response {
        let fault = self.inner.lock().fault;
        match fault {
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Garbage) => Response::ok("text/html", "<html><h1>It works</h1></html>"),
            Some(Fault::Cut) => Response { cut: true, ..good() },
            None if self.lets_in(request) => {
                self.inner.lock().let_in += 1;
                good()
            }
            Some(Fault::Unauthorized) | None => self.challenge(),
        }
    }

    fn lets_in(&self, request: &Request) -> bool {
        match self.access {
            Access::Open => true,
            Access::Basic => {
                let right = http_auth::basic::encode_credentials(USER, PASSWORD);
                request.authorization == right
            }
            Access::Digest => self.is_answer(request).unwrap_or(false),
        }
    }

    /// The Authorization header is what the last challenge wants, by this user, for this path and once.
    fn is_answer(&self, request: &Request) -> Option<bool> {
        // An answer is written like a challenge; only `nc` and `uri` stand bare or in quotes.
        let answer = ChallengeParser::new(&request.authorization).next()?.ok()?;
        let of = |name: &str| {
            let (_, value) = answer.params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
            Some(value.to_unescaped())
        };
        let uri = match request.query.as_str() {
            "" => request.path.clone(),
            query => format!("{}?{query}", request.path),
        };
        let cnonce = of("cnonce")?;
        let mut inner = self.inner.lock();
        let given = inner.given.as_mut()?;
        let asked = PasswordParams {
            username: USER,
            password: PASSWORD,
            uri: &uri,
            method: &request.method,
            body: Some(&[]),
        };
        let right = given.respond_with_testing_cnonce(&asked, &cnonce).ok()?;
        let right = ChallengeParser::new(&right).next()?.ok()?;
        let of_right = |name: &str| {
            let (_, value) = right.params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
            Some(value.to_unescaped())
        };
        let same = |name: &str| of(name) == of_right(name);
        Some(["username", "realm", "nonce", "uri", "nc", "response"].iter().all(|name| same(name)))
    }

    fn challenge(&self) -> Response {
        let mut inner = self.inner.lock();
        inner.challenges += 1;
        let challenge = match self.access {
            Access::Basic => "Basic realm=\"Wowza Media Systems\"".to_owned(),
            Access::Open | Access::Digest => {
                let nonce: u64 = rand::random();
                format!(
                    "Digest realm=\"Wowza Media Systems\", nonce=\"{nonce:016x}\", algorithm=MD5, qop=\"auth\""
                )
            }
        };
        let parsed = ChallengeParser::new(&challenge).next().and_then(Result::ok);
        inner.given = parsed.and_then(|c| DigestClient::try_from(&c).ok());
        Response {
            status: 401,
            challenge: Some(challenge.clone()),
            ..Response::ok("text/plain", "who are you?")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client that was challenged sends.
    fn shown(challenge: &str, user: &str, password: &str, uri: &str) -> (String, String) {
        let mut client = http_auth::PasswordClient::try_from(challenge).unwrap();
        let mut answer = || {
            let asked =
                PasswordParams { username: user, password, uri, method: "GET", body: Some(&[]) };
            client.respond(&asked).unwrap()
        };
        (answer(), answer())
    }

    async fn status(door: &Door, authorization: &str, path: &str) -> Response {
        let request = Request {
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: "flat".to_owned(),
            authorization: authorization.to_owned(),
            last: false,
        };
        door.answer(&request, || Response::ok("text/plain", "in")).await
    }

    #[tokio::test]
    async fn only_the_right_answer_to_the_last_challenge_is_let_in_and_only_once() {
        for access in [Access::Basic, Access::Digest] {
            let door = Door::new(access);
            let asked = status(&door, "", "/c").await;
            assert_eq!(asked.status, 401);
            let challenge = asked.challenge.unwrap();
            let (first, second) = shown(&challenge, USER, PASSWORD, "/c?flat");
            assert_eq!(status(&door, &first, "/c").await.status, 200, "{access:?}");
            assert_eq!(status(&door, &second, "/c").await.status, 200, "{access:?}");
            let again = status(&door, &second, "/c").await;
            assert_eq!(again.status == 401, access == Access::Digest, "shown twice");

            for (user, password, path) in
                [(USER, "wrong", "/c"), ("other", PASSWORD, "/c"), (USER, PASSWORD, "/d")]
            {
                let challenge = status(&door, "", "/c").await.challenge.unwrap();
                let (answer, _) = shown(&challenge, user, password, "/c?flat");
                let right = access == Access::Basic && path == "/d";
                let got = status(&door, &answer, path).await.status;
                assert_eq!(got == 200, right, "{access:?} {user} {password} {path}");
            }
        }
        assert_eq!(status(&Door::new(Access::Open), "", "/c").await.status, 200);
    }
}
