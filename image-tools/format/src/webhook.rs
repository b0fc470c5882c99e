//! What messages to a webhook have in common, of both programs: a signature as <https://www.standardwebhooks.com> has it, and text for Slack.
use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a secret begins with whose rest is base64.
const PREFIX: &str = "whsec_";

/// The headers of a message: its id, its time in seconds since 1970, and a signature for each secret, so that a receiver may have the old
/// one or the new one: HMAC-SHA256 over id, time and body.
pub fn headers(id: &str, time: u64, body: &str, secrets: &[String]) -> Vec<(&'static str, String)> {
    let mut headers = vec![("webhook-id", id.to_owned()), ("webhook-timestamp", time.to_string())];
    let signatures: Vec<String> = secrets.iter().map(|secret| signature(secret, id, time, body)).collect();
    if !signatures.is_empty() {
        headers.push(("webhook-signature", signatures.join(" ")));
    }
    headers
}

fn signature(secret: &str, id: &str, time: u64, body: &str) -> String {
    let key = secret.strip_prefix(PREFIX).and_then(|rest| STANDARD.decode(rest).ok());
    let key = key.as_deref().unwrap_or(secret.as_bytes());
    // Keys of any length are keys.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(format!("{id}.{time}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// Text as Slack wants it, so that nothing in it is a link or a mention.
pub fn slack_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's libraries.
    #[test]
    fn signature_is_that_of_the_standard() {
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            "{\"test\": 2432232314}",
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn there_is_a_signature_for_each_secret_and_none_without_one() {
        let headers = |secrets: &[&str]| {
            let secrets: Vec<String> = secrets.iter().map(ToString::to_string).collect();
            super::headers("b-7", 1, "{}", &secrets)
        };
        assert_eq!(headers(&[]), [("webhook-id", "b-7".into()), ("webhook-timestamp", "1".into())]);
        let one = |secret: &str| headers(&[secret])[2].1.clone();
        assert_eq!(headers(&["old", "new"])[2].1, format!("{} {}", one("old"), one("new")));
        assert_ne!(one("old"), one("new"));
    }
}
