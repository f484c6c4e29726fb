//! What the texts of a message name, as the template engine takes it.

use minijinja::Value;
use portico_kernel::{
    Timestamp,
    mail::{MailContent, MailValue},
};

use crate::{
    device,
    words::{Section, WordsError},
};

/// The values of a message. `common` has the words for roles and times.
pub fn values(mail: &MailContent, common: &Section) -> Result<Value, WordsError> {
    let values = mail.values.iter().map(|(name, value)| Ok((*name, value_of(value, common)?)));
    Ok(Value::from_pairs(values.collect::<Result<Vec<_>, WordsError>>()?))
}

fn value_of(value: &MailValue, common: &Section) -> Result<Value, WordsError> {
    Ok(match value {
        MailValue::Written(text) | MailValue::Text(text) => text.as_str().into(),
        MailValue::Number(number) => (*number).into(),
        MailValue::Flag(flag) => (*flag).into(),
        MailValue::Time(time) => moment(*time, common)?.into(),
        MailValue::Line(name) => common.line(name)?.into(),
        MailValue::UserAgent(text) => device::name(text).into(),
        MailValue::Absent => ().into(),
    })
}

/// A point in time as the language writes it, in UTC, because the time zone of the reader is not known.
fn moment(at: Timestamp, common: &Section) -> Result<String, WordsError> {
    let time = at.into_inner();
    let month = common.line("Months")?.split(' ').nth(usize::from(u8::from(time.month())) - 1);
    let month = month.ok_or_else(|| WordsError::Missing("Months".to_owned()))?;
    let values = [
        ("{{ day }}", time.day().to_string()),
        ("{{ month }}", month.to_owned()),
        ("{{ year }}", time.year().to_string()),
        ("{{ clock }}", format!("{:02}:{:02}", time.hour(), time.minute())),
    ];
    let pattern = common.line("Time")?.to_owned();
    Ok(values.iter().fold(pattern, |text, (name, value)| text.replace(name, value)))
}
