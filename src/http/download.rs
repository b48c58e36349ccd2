//! Who gets a file, and which (F-07 to F-10, X-03).

use std::sync::Arc;

use actix_web::HttpResponse;

use super::answer::Ask;
use super::audit::Deed;
use super::files;
use super::reply::Problem;
use super::status::visible;
use crate::auth::capability;
use crate::job::{JobId, OpenError};

/// Answers with a file: to who shows a good signature, or to the client that made the job.
pub(super) async fn file(
    ask: &Ask<'_>,
    signature: Option<&str>,
    job: &str,
    name: &str,
) -> Result<HttpResponse, Problem> {
    let service = ask.service;
    let (found, client, scopes) = if let Some(segment) = signature {
        // A token that is sent beside a signature is not looked at (F-08).
        let now = service.clock.now_seconds();
        let good = service.options.signed_files.is_some() && capability::check(&service.key, segment, job, now);
        let id: JobId = job.parse().ok().filter(|_| good).ok_or(Problem::NoFile)?;
        let found = service.jobs.get(id).ok_or(Problem::NoFile)?;
        let client = found.client.clone();
        (found, client, None)
    } else {
        let access = ask.access().await?;
        let found = visible(ask, &access, job).map_err(|_no_job| Problem::NoFile)?;
        (found, access.client, Some(access.scopes))
    };
    let id = found.id;
    let stored = found.files().find(|file| file.public_name() == name).ok_or(Problem::NoFile)?.url.clone();
    let open = {
        let (jobs, name) = (Arc::clone(&service.jobs), stored);
        tokio::task::spawn_blocking(move || jobs.open_file(id, &name)).await
    };
    let open = match open {
        Ok(Ok(open)) => open,
        Ok(Err(OpenError::NotFound)) => return Err(Problem::NoFile),
        Ok(Err(error)) => {
            tracing::error!(job = %id, error = &error as &dyn std::error::Error, "a file could not be opened");
            return Err(Problem::Internal);
        }
        Err(_stopping) => return Err(Problem::Draining),
    };
    let resource_type = &open.meta.resource_type;
    let types = match resource_type.as_str() {
        // Deletions and messages belong to the whole job.
        "Bundle" | "OperationOutcome" => &[],
        // Blocks hold every type of it.
        "" => &found.request.types[..],
        _ => std::slice::from_ref(resource_type),
    };
    let forbidden: Vec<String> =
        scopes.iter().flat_map(|scopes| types.iter().filter(|name| !scopes.reads(name))).cloned().collect();
    if !forbidden.is_empty() {
        return Err(Problem::Scope(forbidden));
    }
    let details = vec![
        ("file", name.to_owned()),
        ("count", open.meta.count.to_string()),
        ("method", ask.request.method().as_str().to_owned()),
    ];
    let response = files::answer(open, ask.headers(), ask.is_head(), service.metrics.bytes())?;
    let status = response.status().as_u16();
    ask.audit(Deed::File, Some(&client), Some(id.to_string()), status, details).await?;
    Ok(response)
}
