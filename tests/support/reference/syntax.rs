//! The forms of FHIR's primitives, from the tables of the specification (R4, "Data Types").

/// Blank: nothing but what FHIR and SQL call white space.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| " \t\n\r".contains(c))
}

pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r'])
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

/// `[A-Za-z0-9\-\.]{1,64}`
pub(crate) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.chars().count()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
}

/// Whether trimmed text has the form of the type.
pub(crate) fn matches(fhir_type: &str, text: &str) -> bool {
    match fhir_type {
        "id" => is_id(text),
        "code" => !text.is_empty() && !text.split([' ', '\t', '\n', '\r']).any(str::is_empty),
        "uri" | "url" | "canonical" => !text.is_empty() && !text.contains([' ', '\t', '\n', '\r']),
        "oid" => text.strip_prefix("urn:oid:").is_some_and(|text| {
            let arcs: Vec<&str> = text.split('.').collect();
            arcs.len() > 1
                && matches!(arcs[0], "0" | "1" | "2")
                && arcs[1..].iter().all(|arc| digits(arc) && (*arc == "0" || !arc.starts_with('0')))
        }),
        "uuid" => text.strip_prefix("urn:uuid:").is_some_and(|text| {
            let groups: Vec<&str> = text.split('-').collect();
            groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
                && groups.concat().chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
        }),
        "date" => is_date(text),
        "dateTime" => is_date(text) || is_instant(text),
        "instant" => is_instant(text),
        "time" => is_time(text),
        "decimal" => {
            let unsigned = text.strip_prefix('-').unwrap_or(text);
            let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
                Some((mantissa, exponent)) => (mantissa, Some(exponent)),
                None => (unsigned, None),
            };
            let (whole, fraction) = match mantissa.split_once('.') {
                Some((whole, fraction)) => (whole, Some(fraction)),
                None => (mantissa, None),
            };
            digits(whole)
                && (whole == "0" || !whole.starts_with('0'))
                && fraction.is_none_or(digits)
                && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
        }
        "integer" | "unsignedInt" | "positiveInt" => {
            let unsigned = text.strip_prefix('-').unwrap_or(text);
            let least = match fhir_type {
                "integer" => i32::MIN,
                "unsignedInt" => 0,
                _ => 1,
            };
            digits(unsigned)
                && (text == "0" || !unsigned.starts_with('0'))
                && text.parse::<i32>().is_ok_and(|value| value >= least)
        }
        "boolean" => text == "true" || text == "false",
        other => panic!("no form of {other}"),
    }
}

/// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`, a day that the calendar has.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths = [4, 2, 2];
    if parts.len() > 3 || !parts.iter().zip(lengths).all(|(part, len)| digits(part) && part.len() == len) {
        return false;
    }
    let number = |at: usize| parts.get(at).map_or(1, |part| part.parse::<i16>().unwrap());
    number(0) > 0 && jiff::civil::Date::new(number(0), number(1) as i8, number(2) as i8).is_ok()
}

/// `YYYY-MM-DDThh:mm:ss.sss+zz:zz`
fn is_instant(text: &str) -> bool {
    let Some((date, rest)) = text.split_once('T') else { return false };
    let Some(at) = rest.find(['Z', '+', '-']) else { return false };
    let (time, zone) = rest.split_at(at);
    let zoned = zone == "Z"
        || zone[1..].split_once(':').is_some_and(|(hours, minutes)| {
            let fits = digits(hours) && digits(minutes) && hours.len() == 2 && minutes.len() == 2;
            fits && ((hours < "14" && minutes < "60") || (hours == "14" && minutes == "00"))
        });
    date.len() == 10 && is_date(date) && is_time(time) && zoned
}

/// `hh:mm:ss.sss`; a leap second is one.
fn is_time(text: &str) -> bool {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let parts: Vec<&str> = clock.split(':').collect();
    parts.len() == 3
        && parts.iter().all(|part| digits(part) && part.len() == 2)
        && (parts[0] < "24" && parts[1] < "60" && parts[2] <= "60")
        && fraction.is_none_or(digits)
}
