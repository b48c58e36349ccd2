//! The settings of `smelt serve`, in the order of the reference page.

use super::table::{Kind, Setting};

/// The settings that are about the server alone.
pub const SERVER_SETTINGS: &[Setting] = &[
    Setting {
        name: "listen",
        kind: Kind::Address,
        default: Some("127.0.0.1:8080"),
        env: "SMELT_LISTEN",
        flag: "--listen",
        meaning: "Where the server listens. Port 0 takes a free one; the ready line tells which.",
    },
    Setting {
        name: "base-url",
        kind: Kind::Url,
        default: None,
        env: "SMELT_BASE_URL",
        flag: "--base-url",
        meaning: "The public FHIR base URL, as clients see it. Every absolute URL is made from it, never from what \
            a request says. Needed unless the server listens on a loopback address; there it is \
            `http://ADDRESS/fhir`.",
    },
    Setting {
        name: "state-dir",
        kind: Kind::Path,
        default: Some("smelt-state"),
        env: "SMELT_STATE_DIR",
        flag: "--state-dir",
        meaning: "Private directory of the server: job records, files of exports, the key of access tokens, the \
            audit log. One server uses it at a time.",
    },
    Setting {
        name: "ledger",
        kind: Kind::Switch,
        default: Some("false"),
        env: "SMELT_LEDGER",
        flag: "--ledger",
        meaning: "Keeps the ids of mappings without `deleted` in `ledger` below the state directory, so that exports \
            with `_since` can tell which of them are gone. Each export of such a mapping then reads its keys once more.",
    },
    Setting {
        name: "auth",
        kind: Kind::Words(&["smart", "external", "none"]),
        default: Some("smart"),
        env: "SMELT_AUTH",
        flag: "--auth",
        meaning: "Who may ask: clients registered in `clients` (SMART Backend Services), bearers of access tokens \
            of another authorization server, or everybody who reaches the port. `none` is refused off loopback unless \
            `open-to-network` is true.",
    },
    Setting {
        name: "clients",
        kind: Kind::Path,
        default: None,
        env: "SMELT_CLIENTS",
        flag: "--clients",
        meaning: "The registry of clients, for `auth: smart`. It is read again when it changes.",
    },
    Setting {
        name: "issuer",
        kind: Kind::Text,
        default: None,
        env: "SMELT_ISSUER",
        flag: "--issuer",
        meaning: "Issuer of access tokens, for `auth: external`.",
    },
    Setting {
        name: "jwks-url",
        kind: Kind::Text,
        default: None,
        env: "SMELT_JWKS_URL",
        flag: "--jwks-url",
        meaning: "Where the keys of that issuer are, for `auth: external`.",
    },
    Setting {
        name: "audience",
        kind: Kind::Text,
        default: None,
        env: "SMELT_AUDIENCE",
        flag: "--audience",
        meaning: "What `aud` of an access token must contain, for `auth: external`. Unless given, the base URL.",
    },
    Setting {
        name: "token-url",
        kind: Kind::Text,
        default: None,
        env: "SMELT_TOKEN_URL",
        flag: "--token-url",
        meaning: "Token endpoint of that server, for `auth: external`; discovery tells it to clients.",
    },
    Setting {
        name: "allow-inner-hosts",
        kind: Kind::List,
        default: None,
        env: "SMELT_ALLOW_INNER_HOSTS",
        flag: "--allow-inner-hosts",
        meaning: "Host names from which keys may be fetched although they lead to a private or loopback address, \
            also by plain http. Every other URL of keys must be https and lead to a public address.",
    },
    Setting {
        name: "more-algorithms",
        kind: Kind::List,
        default: None,
        env: "SMELT_MORE_ALGORITHMS",
        flag: "--more-algorithms",
        meaning: "Algorithms that assertions of clients may be signed with beside RS384 and ES384, as in RS256, ES256.",
    },
    Setting {
        name: "discovery-extra",
        kind: Kind::Path,
        default: None,
        env: "SMELT_DISCOVERY_EXTRA",
        flag: "--discovery-extra",
        meaning: "A JSON object whose members are added to the discovery document, as the authorization endpoint of the \
            EHR.",
    },
    Setting {
        name: "token-lifetime",
        kind: Kind::Time(30, 3_600),
        default: Some("5min"),
        env: "SMELT_TOKEN_LIFETIME",
        flag: "--token-lifetime",
        meaning: "How long an access token of this server is valid. SMART asks for 5 minutes at most.",
    },
    Setting {
        name: "token-requests-per-client",
        kind: Kind::Count,
        default: Some("120"),
        env: "SMELT_TOKEN_REQUESTS_PER_CLIENT",
        flag: "--token-requests-per-client",
        meaning: "Token requests of one client in a minute; more are answered with 429.",
    },
    Setting {
        name: "token-requests-per-address",
        kind: Kind::Count,
        default: Some("300"),
        env: "SMELT_TOKEN_REQUESTS_PER_ADDRESS",
        flag: "--token-requests-per-address",
        meaning: "Token requests from one address, or one IPv6 network of 64 bits, in a minute; more are answered with \
            429. Clients behind a proxy share its address unless `trusted-proxies` names it.",
    },
    Setting {
        name: "open-to-network",
        kind: Kind::Switch,
        default: Some("false"),
        env: "SMELT_OPEN_TO_NETWORK",
        flag: "--open-to-network",
        meaning: "Allows what is otherwise refused off loopback: `auth: none`, and plain http as base URL.",
    },
    Setting {
        name: "tls-cert",
        kind: Kind::Path,
        default: None,
        env: "SMELT_TLS_CERT",
        flag: "--tls-cert",
        meaning: "Certificate chain in PEM, with `tls-key`. Both are read again when they change.",
    },
    Setting {
        name: "tls-key",
        kind: Kind::Path,
        default: None,
        env: "SMELT_TLS_KEY",
        flag: "--tls-key",
        meaning: "Private key of the certificate in PEM.",
    },
    Setting {
        name: "trusted-proxies",
        kind: Kind::Networks,
        default: None,
        env: "SMELT_TRUSTED_PROXIES",
        flag: "--trusted-proxies",
        meaning: "Networks of proxies whose `X-Forwarded-For` is believed. It tells the address of a client to the \
            audit log and to limits; it never changes a URL.",
    },
    Setting {
        name: "cors-origins",
        kind: Kind::List,
        default: None,
        env: "SMELT_CORS_ORIGINS",
        flag: "--cors-origins",
        meaning: "Origins of browser applications that may use the API, as in https://app.example.org. Metadata \
            and discovery are open to every origin.",
    },
    Setting {
        name: "file-urls",
        kind: Kind::Words(&["token", "signed"]),
        default: Some("token"),
        env: "SMELT_FILE_URLS",
        flag: "--file-urls",
        meaning: "How files are protected: by the access token, or by a signature in the URL that expires after \
            `file-url-lifetime` and is renewed by asking for the manifest again. The manifest says which.",
    },
    Setting {
        name: "file-url-lifetime",
        kind: Kind::Time(30, 86_400),
        default: Some("5min"),
        env: "SMELT_FILE_URL_LIFETIME",
        flag: "--file-url-lifetime",
        meaning: "How long a signed file URL works.",
    },
    Setting {
        name: "max-running-jobs",
        kind: Kind::Count,
        default: Some("2"),
        env: "SMELT_MAX_RUNNING_JOBS",
        flag: "--max-running-jobs",
        meaning: "How many exports run at the same time; others wait in the queue.",
    },
    Setting {
        name: "max-running-per-client",
        kind: Kind::Count,
        default: Some("4"),
        env: "SMELT_MAX_RUNNING_PER_CLIENT",
        flag: "--max-running-per-client",
        meaning: "How many exports of one client may run or wait; one more is refused with 429. Finished ones do \
            not count.",
    },
    Setting {
        name: "max-queued-jobs",
        kind: Kind::Count,
        default: Some("100"),
        env: "SMELT_MAX_QUEUED_JOBS",
        flag: "--max-queued-jobs",
        meaning: "How many exports may wait; one more is refused with 503.",
    },
    Setting {
        name: "max-job-size",
        kind: Kind::Size,
        default: None,
        env: "SMELT_MAX_JOB_SIZE",
        flag: "--max-job-size",
        meaning: "An export that stores more than this fails. Unless given, the disk is the limit.",
    },
    Setting {
        name: "max-total-size",
        kind: Kind::Size,
        default: None,
        env: "SMELT_MAX_TOTAL_SIZE",
        flag: "--max-total-size",
        meaning: "What the files of all exports may take together. Once finished ones take it all, a kick-off is refused \
            with 503; when running ones grow beyond it, the youngest of them fails. Unless given, the disk is the limit.",
    },
    Setting {
        name: "attach-to-unfinished",
        kind: Kind::Switch,
        default: Some("false"),
        env: "SMELT_ATTACH_TO_UNFINISHED",
        flag: "--attach-to-unfinished",
        meaning: "Answers a kick-off that repeats an unfinished one of the same client with that export, instead of \
            running it twice. Whoever deletes it deletes it for everybody who was given it.",
    },
    Setting {
        name: "job-ttl",
        kind: Kind::Time(1, 31_536_000),
        default: Some("24h"),
        env: "SMELT_JOB_TTL",
        flag: "--job-ttl",
        meaning: "How long a finished export and its files are kept, counted from its end.",
    },
    Setting {
        name: "max-body",
        kind: Kind::Size,
        default: Some("32MiB"),
        env: "SMELT_MAX_BODY",
        flag: "--max-body",
        meaning: "Largest body of a request.",
    },
    Setting {
        name: "status-hold",
        kind: Kind::Time(0, 10),
        default: Some("2s"),
        env: "SMELT_STATUS_HOLD",
        flag: "--status-hold",
        meaning: "How long a status request may be held while the export runs. It is answered at once when the \
            export ends.",
    },
    Setting {
        name: "page-interval",
        kind: Kind::Time(0, 3600),
        default: Some("10s"),
        env: "SMELT_PAGE_INTERVAL",
        flag: "--page-interval",
        meaning: "Least time between two pages of the manifest of an export with `allowPartialManifests=true`. What is \
            done before the first time is over is on one page with the rest.",
    },
    Setting {
        name: "polls-per-minute",
        kind: Kind::Count,
        default: Some("120"),
        env: "SMELT_POLLS_PER_MINUTE",
        flag: "--polls-per-minute",
        meaning: "Status requests a client may send in a minute for one export; more are answered with 429 and \
            change nothing else.",
    },
    Setting {
        name: "typefilter-lenient",
        kind: Kind::Words(&["ignore", "reject"]),
        default: Some("ignore"),
        env: "SMELT_TYPEFILTER_LENIENT",
        flag: "--typefilter-lenient",
        meaning: "What becomes of a filter in `_typeFilter` that cannot be asked when the client sends `Prefer: \
            handling=lenient`: it is left out and told in a message file, or the kick-off is refused as it is without \
            that header. Without its filter an export is wider than what was asked for.",
    },
    Setting {
        name: "require-prefer",
        kind: Kind::Switch,
        default: Some("false"),
        env: "SMELT_REQUIRE_PREFER",
        flag: "--require-prefer",
        meaning: "Refuses a kick-off without `Prefer: respond-async`. Otherwise it is taken as said.",
    },
    Setting {
        name: "require-group-scope",
        kind: Kind::Switch,
        default: Some("false"),
        env: "SMELT_REQUIRE_GROUP_SCOPE",
        flag: "--require-group-scope",
        meaning: "Refuses a group export by a token that may not read Group. Many clients never ask for that scope.",
    },
    Setting {
        name: "drain-timeout",
        kind: Kind::Time(0, 86_400),
        default: Some("30s"),
        env: "SMELT_DRAIN_TIMEOUT",
        flag: "--drain-timeout",
        meaning: "How long running exports may go on after SIGTERM before they are stopped; a stopped export \
            begins again at the next start.",
    },
    Setting {
        name: "audit-log",
        kind: Kind::Path,
        default: None,
        env: "SMELT_AUDIT_LOG",
        flag: "--audit-log",
        meaning: "The audit trail, FHIR AuditEvents as NDJSON, only ever appended. Unless given, `audit.ndjson` in \
            the state directory.",
    },
    Setting {
        name: "metrics-listen",
        kind: Kind::Address,
        default: None,
        env: "SMELT_METRICS_LISTEN",
        flag: "--metrics-listen",
        meaning: "A second address for `/metrics`, `/healthz` and `/readyz`. When it is given, the first one has \
            no `/metrics`.",
    },
    Setting {
        name: "contact",
        kind: Kind::Text,
        default: None,
        env: "SMELT_CONTACT",
        flag: "--contact",
        meaning: "Whom to ask for access, shown on the page at `/`.",
    },
];
