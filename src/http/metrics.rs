//! Numbers for Prometheus. Labels are names of ours: no client, no group, no file.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::job::Numbers;

type Labels = Vec<(&'static str, String)>;

/// Upper bounds of answer times in seconds; what is held is held for up to ten.
const SECONDS: [f64; 12] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0];

/// What is counted as it happens.
#[derive(Debug)]
pub(super) struct Metrics {
    requests: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
    sent: Counter,
    tokens: Family<Labels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            sent: Counter::default(),
            tokens: Family::default(),
        }
    }
}

impl Metrics {
    /// A request was answered; of a file the answer is its head.
    pub(super) fn answered(&self, endpoint: &'static str, status: u16, seconds: f64) {
        let endpoint = ("endpoint", endpoint.to_owned());
        self.requests.get_or_create(&vec![endpoint.clone(), ("status", status.to_string())]).inc();
        self.seconds.get_or_create(&vec![endpoint]).observe(seconds);
    }

    /// Counts bytes of files as they are handed to the socket.
    pub(super) fn bytes(&self) -> impl Fn(u64) + 'static {
        let sent = self.sent.clone();
        move |bytes| {
            sent.inc_by(bytes);
        }
    }

    /// A token was granted, or refused with this code.
    pub(super) fn token(&self, result: &str) {
        self.tokens.get_or_create(&vec![("result", result.to_owned())]).inc();
    }

    /// Everything, in the text form of OpenMetrics.
    pub(super) fn text(&self, jobs: &Numbers) -> String {
        let mut registry = Registry::with_prefix("smelt");
        registry.register("http_requests", "Requests answered", self.requests.clone());
        registry.register("http_answer_seconds", "Time until an answer begins", self.seconds.clone());
        registry.register("file_bytes", "Bytes of files sent", self.sent.clone());
        registry.register("token_requests", "Token requests by result", self.tokens.clone());

        let build = Family::<Labels, Gauge>::default();
        build.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        registry.register("build_info", "The version that runs", build);

        let states = Family::<Labels, Gauge>::default();
        let ended = jobs.jobs.saturating_sub(jobs.queued + jobs.running);
        for (state, number) in [("waiting", jobs.queued), ("running", jobs.running), ("ended", ended)] {
            states.get_or_create(&vec![("state", state.to_owned())]).set(number as i64);
        }
        registry.register("exports", "Exports by state", states);

        let stored = Gauge::<i64>::default();
        stored.set(jobs.stored_bytes as i64);
        registry.register("stored_bytes", "Bytes that files of exports take", stored);

        let steps = Family::<Labels, Counter<u64, AtomicU64>>::default();
        let totals = &jobs.totals;
        for (step, number) in [
            ("accepted", totals.accepted),
            ("attached", totals.attached),
            ("started", totals.started),
            ("retried", totals.retried),
            ("completed", totals.completed),
            ("failed", totals.failed),
            ("deleted", totals.deleted),
            ("expired", totals.expired),
        ] {
            steps.get_or_create(&vec![("step", step.to_owned())]).inc_by(number);
        }
        registry.register("export_steps", "Steps in the life of exports", steps);

        for (name, help, number) in [
            ("resources", "Resources exported", totals.resources),
            ("rejected_rows", "Rows that could not become a resource", totals.rejected),
            ("export_bytes", "Bytes that completed exports have stored", totals.bytes),
        ] {
            let counter = Counter::<u64>::default();
            counter.inc_by(number);
            registry.register(name, help, counter);
        }
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prometheus_reads() {
        let metrics = Metrics::default();
        metrics.answered("status", 202, 0.5);
        metrics.bytes()(7);
        metrics.token("granted");
        let text = metrics.text(&Numbers { queued: 1, running: 2, jobs: 5, ..Numbers::default() });
        for line in [
            "smelt_http_requests_total{endpoint=\"status\",status=\"202\"} 1",
            "smelt_http_answer_seconds_bucket{le=\"1.0\",endpoint=\"status\"} 1",
            "smelt_file_bytes_total 7",
            "smelt_token_requests_total{result=\"granted\"} 1",
            "smelt_exports{state=\"ended\"} 2",
            "smelt_export_steps_total{step=\"failed\"} 0",
            "smelt_resources_total 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
