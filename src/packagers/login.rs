//! User and password for a packager's admin port: basic and digest authentication, as it asks for.
//! What it asked for last is remembered, so that later requests are answered at once.

use std::fmt;

use http_auth::{PasswordClient, PasswordParams};

use crate::model::names::PackagerId;
use crate::origin::{AdminPlace, Client, OriginError, Page, PageAsk};

/// User and password. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// His password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (secret)", self.user)
    }
}

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Not reached, or no whole answer.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// It wants a user, and none is configured.
    #[error("wants user and password (401)")]
    Wanted,
    /// It does not take this one.
    #[error("user or password is wrong (401)")]
    Refused,
    /// It wants something else than basic or digest.
    #[error("wants another authentication: {0}")]
    Other(String),
}

/// Asks one packager's admin port, and remembers how it wants to be asked.
#[derive(Default)]
pub(super) struct Asker {
    client: Option<PasswordClient>,
}

impl Asker {
    /// Asks; where the answer is a challenge once more, with what it wants.
    pub(super) async fn ask(
        &mut self,
        client: &Client,
        packager: &PackagerId,
        place: &AdminPlace,
        login: Option<&Login>,
        ask: PageAsk<'_>,
    ) -> Result<Page, LoginError> {
        let answered_at_once = self.authorization(login, ask.path)?;
        let shown = answered_at_once.is_some();
        let first = PageAsk { authorization: answered_at_once.as_deref(), ..ask };
        let page = client.admin_page(packager, place, first).await?;
        if page.status != 401 {
            return Ok(page);
        }
        let before = self.client.take();
        let mut builder = PasswordClient::builder();
        for challenge in &page.challenges {
            builder = builder.challenges(challenge);
        }
        let Some(_) = login else { return Err(LoginError::Wanted) };
        let wanted = builder.build().map_err(|why| brief(&why))?;
        // Of basic the answer is always the same; a digest may be asked for anew.
        if shown
            && matches!(
                (&before, &wanted),
                (Some(PasswordClient::Basic(_)), PasswordClient::Basic(_))
            )
        {
            return Err(LoginError::Refused);
        }
        self.client = Some(wanted);
        let again = self.authorization(login, ask.path)?;
        let second = PageAsk { authorization: again.as_deref(), ..ask };
        let page = client.admin_page(packager, place, second).await?;
        if page.status == 401 {
            self.client = None;
            return Err(LoginError::Refused);
        }
        Ok(page)
    }

    fn authorization(
        &mut self,
        login: Option<&Login>,
        path: &str,
    ) -> Result<Option<String>, LoginError> {
        let (Some(client), Some(login)) = (&mut self.client, login) else { return Ok(None) };
        let answer = client.respond(&PasswordParams {
            username: &login.user,
            password: &login.password,
            uri: path,
            method: "GET",
            body: Some(&[]),
        });
        answer.map(Some).map_err(|why| brief(&why))
    }
}

/// What a server wrote goes into logs in few words.
fn brief(why: &str) -> LoginError {
    LoginError::Other(why.chars().filter(|c| !c.is_control()).take(120).collect())
}
