//! The `Prefer` header (RFC 7240) as bulk clients send it (K-07 to K-10).

use super::accept::split_outside_quotes;

/// What a client prefers; unknown preferences are passed over (K-08).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prefer {
    /// `respond-async` was sent.
    pub respond_async: bool,
    /// `handling=lenient`: what cannot be honoured is left out and told (K-09). `strict`, or none: refused.
    pub lenient: bool,
    /// `separate-export-status`: polling answers 200 and tells the job's status in a header (K-10).
    pub separate_status: bool,
}

impl Prefer {
    /// Reads every `Prefer` header of a request. Of a preference that is sent twice the first one counts.
    pub fn read<'a>(headers: impl Iterator<Item = &'a str>) -> Self {
        let mut prefer = Self::default();
        let mut handling = None;
        for item in headers.flat_map(|header| split_outside_quotes(header, ',')) {
            let preference = split_outside_quotes(item, ';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "respond-async" => prefer.respond_async = true,
                "separate-export-status" => prefer.separate_status = true,
                "handling" if handling.is_none() => {
                    handling = Some(value.trim().trim_matches('"').trim().eq_ignore_ascii_case("lenient"));
                }
                _ => {}
            }
        }
        Self { lenient: handling.unwrap_or_default(), ..prefer }
    }

    /// `Preference-Applied` of the answer to a kick-off: only where the client asked for the separate status (K-10).
    pub fn applied(&self) -> Option<&'static str> {
        self.separate_status.then_some("respond-async, separate-export-status")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // K-07 K-08 K-10 T-36
    #[test]
    fn header_forms() {
        for (headers, respond_async, lenient, separate_status) in [
            (&[][..], false, false, false),
            (&[""], false, false, false),
            (&["respond-async"], true, false, false),
            (&["Respond-Async , Handling = LENIENT"], true, true, false),
            (&["handling=lenient", "respond-async"], true, true, false),
            (&["handling=\"lenient\",separate-export-status"], false, true, true),
            (&["respond-async;foo=\"a,b\", separate-export-status"], true, false, true),
            (&["respond-async; wait=10; handling=lenient"], true, false, false),
            (&["wait=100, return=minimal, x=\"handling=lenient, respond-async\""], false, false, false),
            (&["handling=strict, handling=lenient"], false, false, false),
            (&["handling=lenient, handling=strict"], false, true, false),
            (&["handling"], false, false, false),
            (&["handling=\"lenient"], false, true, false),
            (&["respond-asynchronously"], false, false, false),
        ] {
            let want = Prefer { respond_async, lenient, separate_status };
            assert_eq!(Prefer::read(headers.iter().copied()), want, "{headers:?}");
            assert_eq!(want.applied().is_some(), separate_status);
        }
    }

    proptest! {
        // K-08
        #[test]
        fn any_header_is_read(headers in prop::collection::vec("\\PC{0,40}", 0..4)) {
            Prefer::read(headers.iter().map(String::as_str));
        }

        #[test]
        fn order_and_form_do_not_matter(
            order in Just(["respond-async", "handling=lenient", "separate-export-status", "foo=\"a,b\""]).prop_shuffle(),
            blank in "[ \t]{0,3}", upper: bool, repeated: bool,
        ) {
            let case = |text: &str| if upper { text.to_uppercase() } else { text.to_owned() };
            let items: Vec<String> = order.iter().map(|item| format!("{blank}{}{blank}", case(item))).collect();
            let headers = if repeated { items } else { vec![items.join(",")] };
            let prefer = Prefer::read(headers.iter().map(String::as_str));
            prop_assert_eq!(prefer, Prefer { respond_async: true, lenient: true, separate_status: true });
        }
    }
}
