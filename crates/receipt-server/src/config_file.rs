//! Reads the configuration file. It holds passwords, so an error names the key and where it stands, and never shows the
//! text there.

use anyhow::anyhow;
use serde::de::DeserializeOwned;

/// What a file holds.
///
/// # Errors
/// Where it is wrong, and how.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        anyhow!("{}: {}", place(text, start), without_value(error.message()))
    })
}

/// Line and column of a byte, from 1, and the key whose line it is.
fn place(text: &str, at: usize) -> String {
    let before = &text[..text.floor_char_boundary(at)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    let key = text[line_start..].lines().next().and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
    let is_key = |key: &&str| {
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '"' | '\''))
    };
    match key.filter(is_key) {
        Some(key) => format!("line {line}, column {column}, {key}"),
        None => format!("line {line}, column {column}"),
    }
}

/// serde says which value it met, as in `invalid type: string "secret", expected u32`.
fn without_value(message: &str) -> String {
    let met = ["invalid type: ", "invalid value: "].into_iter().find_map(|kind| message.strip_prefix(kind));
    match met {
        None => message.to_owned(),
        Some(met) => match met.rsplit_once(", expected ") {
            Some((_, expected)) => format!("the value is not of the right type: expected {expected}"),
            None => "the value is not of the right type".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[allow(dead_code)]
        partitions: Option<u32>,
        #[allow(dead_code)]
        listen: Option<std::net::SocketAddr>,
        #[allow(dead_code)]
        kafka: Option<toml::Table>,
    }

    #[test]
    fn an_error_names_key_line_and_column_and_shows_no_value() {
        let cases = [
            ("[kafka]\nsasl.password = geheim\n", "line 2, column 17, sasl.password: "),
            ("[kafka]\nsasl.password = \"geheim\n", "line 2, column "),
            ("[kafka]\nsasl.password = 'geheim' geheim\n", "line 2, column "),
            ("[kafka]\nservers = \"a:1\"\nsasl.password geheim\n", "line 3, column "),
            ("[kafka]\nx = \"geheim\"\nx = \"geheim\"\n", "line 3, column 1, x: "),
            (
                "partitions = \"geheim\"\n",
                "line 1, column 14, partitions: the value is not of the right type: expected u32",
            ),
            ("listen = \"geheim\"\n", "line 1, column 10, listen: "),
            ("[kafka]\n\n[kafka]\nsasl.password = \"geheim\"\n", "line 3, column "),
            ("geheim", "line 1, column "),
            ("pasword = \"geheim\"\n", "line 1, column 1, pasword: unknown field `pasword`"),
        ];
        for (text, place) in cases {
            let said = format!("{:#}", parse::<File>(text).unwrap_err());
            assert!(said.starts_with(place), "{text}: {said}");
            assert!(!said.contains("geheim") && !said.contains('\n'), "{text}: {said}");
        }
    }
}
