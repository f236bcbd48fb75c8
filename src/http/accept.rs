//! Which of the two media types of GraphQL over HTTP an answer has.

use axum::http::{HeaderMap, HeaderValue, header::ACCEPT};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/json`: 200 for everything that the engine was asked.
    Json,
    /// `application/graphql-response+json`: 400 for what was never executed.
    Graphql,
}

impl Media {
    /// The value of `Content-Type`.
    pub(super) const fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Graphql => "application/graphql-response+json; charset=utf-8",
        })
    }

    /// What the client prefers of what we have; `None` when it takes neither. Without a wish, and
    /// between equals, `application/json`, which every client of old understands, unless the newer
    /// type is named first.
    pub(super) fn negotiate(headers: &HeaderMap) -> Option<Self> {
        let mut ranges = headers.get_all(ACCEPT).iter();
        match (ranges.next().map(HeaderValue::as_bytes), ranges.next()) {
            (None | Some(b"*/*" | b"application/json"), None) => return Some(Self::Json),
            (Some(b"application/graphql-response+json"), None) => return Some(Self::Graphql),
            _ => {}
        }
        let (mut json, mut graphql) = (Weight::default(), Weight::default());
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for (place, range) in values.flat_map(|value| value.split(',')).enumerate() {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let mut quality = 1.0;
            let mut is_utf8 = true;
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => quality = value.trim().parse().unwrap_or(0.0),
                    "charset" => is_utf8 = value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"),
                    _ => {}
                }
            }
            if !is_utf8 {
                continue;
            }
            match media.as_str() {
                "application/json" => json.take(3, quality, place),
                "application/graphql-response+json" => graphql.take(3, quality, place),
                "application/*" => {
                    json.take(2, quality, place);
                    graphql.take(2, quality, usize::MAX);
                }
                "*/*" => {
                    json.take(1, quality, place);
                    graphql.take(1, quality, usize::MAX);
                }
                _ => {}
            }
        }
        match (json.quality > 0.0, graphql.quality > 0.0) {
            (false, false) => None,
            (true, false) => Some(Self::Json),
            (false, true) => Some(Self::Graphql),
            (true, true) => {
                let prefers_graphql = graphql.quality > json.quality
                    || (graphql.quality >= json.quality && graphql.place < json.place);
                Some(if prefers_graphql { Self::Graphql } else { Self::Json })
            }
        }
    }
}

/// The most specific range that names a media type decides about it.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    specificity: u8,
    quality: f32,
    place: usize,
}

impl Weight {
    fn take(&mut self, specificity: u8, quality: f32, place: usize) {
        if specificity > self.specificity {
            *self = Self { specificity, quality, place };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_gets_what_it_prefers() {
        use Media::{Graphql, Json};
        for (accept, media) in [
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("application/json", Some(Json)),
            ("application/graphql-response+json", Some(Graphql)),
            ("application/graphql-response+json, application/json", Some(Graphql)),
            ("application/json, application/graphql-response+json", Some(Json)),
            ("application/json;q=0.5, application/graphql-response+json;q=0.9", Some(Graphql)),
            ("application/graphql-response+json, application/json;q=0.9, */*;q=0.1", Some(Graphql)),
            ("application/graphql-response+json;q=0, */*", Some(Json)),
            ("application/json;q=0, application/graphql-response+json;q=0", None),
            ("Application/JSON; Charset=\"UTF-8\"", Some(Json)),
            ("application/json; charset=shift_jis", None),
            ("text/html, */*;q=0.8", Some(Json)),
            ("text/html", None),
            ("multipart/mixed", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(Media::negotiate(&headers), media, "{accept}");
        }
        assert_eq!(Media::negotiate(&HeaderMap::new()), Some(Json));
    }
}
