//! What a configuration says of authorisation, in the terms of the front and of the origin client.

use crate::config;
use crate::front;
use crate::origin::Credentials;

pub fn credentials(credentials: &config::Credentials) -> Credentials {
    let text = |v: &http::HeaderValue| v.to_str().unwrap_or_default().to_owned();
    let queries = credentials.queries.iter().map(|(n, v)| (n.clone(), v.reveal().clone()));
    let headers = credentials.headers.iter().map(|(n, v)| (n.to_string(), text(v)));
    Credentials { queries: queries.collect(), headers: headers.collect() }
}

pub fn of_pool(auth: &config::Auth) -> front::auth::Auth {
    front::auth::Auth {
        per_viewer: auth.per_viewer,
        queries: auth.queries.clone(),
        headers: auth.headers.clone(),
        expires_s: auth.expires.as_secs(),
        expiry_query: auth.expiry_query.clone(),
    }
}

pub fn gate(secret: &config::OriginSecret) -> front::gate::Gate {
    let values = secret.values.iter().map(|value| value.reveal().as_str());
    front::gate::Gate::new(secret.name.clone(), values)
}
