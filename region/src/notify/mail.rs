//! Notifications by mail (RFC 5321, STARTTLS by RFC 3207, TLS by RFC 8314).

use super::{PATIENCE, SendError};
use crate::db::notification::Claimed;
use crate::model::event::Event;
use crate::model::notification::{Channel, MailSecurity};
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use rackwright_common::Secret;

/// Whether mail can go there.
pub fn is_address(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok()
}

/// Sends a notification of a rule whose channel is mail.
pub(super) async fn send(claimed: &Claimed, secret: Option<&Secret<Vec<u8>>>) -> Result<(), SendError> {
    let Channel::Email { server, port, security, username, from, to, ca } = &claimed.rule.0.channel else {
        return Ok(());
    };
    let tls = || {
        let mut parameters = TlsParameters::builder(server.clone());
        if let Some(pem) = ca {
            parameters = parameters.add_root_certificate(Certificate::from_pem(pem.as_bytes())?);
        }
        parameters.build_rustls()
    };
    let tls = match security {
        MailSecurity::Tls => Tls::Wrapper(tls()?),
        MailSecurity::Starttls => Tls::Required(tls()?),
        MailSecurity::None => Tls::None,
    };
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server);
    let mut builder = builder.port(*port).tls(tls).timeout(Some(PATIENCE));
    if let Some(secret) = secret.filter(|_| !username.is_empty()) {
        let password = String::from_utf8_lossy(secret.expose()).into_owned();
        builder = builder.credentials(Credentials::new(username.clone(), password));
    }
    builder.build().send(mail(claimed, from, to)?).await?;
    Ok(())
}

fn mail(claimed: &Claimed, from: &str, to: &[String]) -> Result<Message, SendError> {
    let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|_| SendError::Address(text.to_owned()));
    let from = mailbox(from)?;
    let id = format!("<rackwright-{}-{}@{}>", claimed.event.id, claimed.id, from.email.domain());
    let mut mail = Message::builder().message_id(Some(id)).from(from).subject(subject(&claimed.event));
    for to in to {
        mail = mail.to(mailbox(to)?);
    }
    Ok(mail.header(ContentType::TEXT_PLAIN).body(body(&claimed.event))?)
}

/// One line: machines name themselves, so nothing in it ends the line.
fn subject(event: &Event) -> String {
    let text: String =
        event.message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(120).collect();
    format!("[rackwright] {}: {text}", event.level)
}

fn body(event: &Event) -> String {
    let mut text = format!(
        "{}\n\nWhen: {}\nWhat: {} ({})\nBy: {}\n",
        event.message, event.at, event.kind, event.level, event.actor
    );
    if let Some(machine) = &event.machine {
        text += &format!("Machine: {machine}\n");
    }
    if let Some(operation) = &event.operation {
        text += &format!("Operation: {operation}\n");
    }
    text
}
