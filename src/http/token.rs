//! The token endpoint; what it decides is decided in `auth`.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Query;

use super::answer::Ask;
use super::audit::Deed;
use super::reply::Problem;

/// Larger bodies hold no assertion.
const MAX_BODY: u64 = 64 * 1024;

/// Answers a token request.
pub(super) async fn token(ask: &mut Ask<'_>) -> Result<HttpResponse, Problem> {
    let body = ask.body(MAX_BODY).await?;
    let content_type = ask.texts("content-type").into_iter().next().unwrap_or_default();
    // What is no form has no fields, and is refused by their absence in the words of RFC 6749.
    let form = std::str::from_utf8(&body)
        .ok()
        .and_then(|text| Query::<Vec<(String, String)>>::from_query(text).ok())
        .map(Query::into_inner)
        .unwrap_or_default();
    let result = ask.service.authority.token(&form, content_type, ask.address).await;
    let (status, retry_after, json, word) = match &result {
        Ok(granted) => (200, None, granted.to_json(), "granted"),
        Err(refused) => (refused.status(), refused.retry_after(), refused.to_json(), refused.code()),
    };
    ask.service.metrics.token(word);
    if status != 429 {
        let client = result.as_ref().ok().map(|granted| granted.client.as_str());
        let mut details = vec![("result", word.to_owned())];
        details.extend(result.as_ref().ok().map(|granted| ("scope", granted.scope.clone())));
        ask.audit(Deed::Token, client, None, status, details).await?;
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.insert_header((header::PRAGMA, "no-cache"));
    if let Some(seconds) = retry_after {
        response.insert_header((header::RETRY_AFTER, seconds));
    }
    Ok(response.insert_header((header::CONTENT_TYPE, "application/json")).body(json))
}
