//! Reading what a BMC stores: sensors, event log, inventory. All loops are bounded: a BMC may hand out its records in a circle.

use rackwright_common::bmc::SensorReading;
use rackwright_ipmi::command::fru::{Fru, GetFruInfo, ReadFru};
use rackwright_ipmi::command::sdr::{self, GetSdr, ReserveSdr, SdrRecord, SensorRecord};
use rackwright_ipmi::command::sel::{self, ClearSel, GetSelEntry, GetSelInfo, ReserveSel, SelEntry};
use rackwright_ipmi::command::sensor::GetSensorReading;
use rackwright_ipmi::command::{CompletionError, completion};
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::{Instant, sleep};

use super::connection::{CallError, Connection};

/// More records than any machine has.
const RECORDS: usize = 1024;
/// Log entries reported, the newest ones.
const ENTRIES: u16 = 200;
/// How long a BMC may take to erase its log.
const ERASE_WITHIN: Duration = Duration::from_secs(20);
/// Largest inventory that is read, bytes.
const INVENTORY: u16 = 4096;

/// Every sensor's present value.
pub(super) async fn sensors(bmc: &mut Connection) -> Result<Vec<SensorReading>, CallError> {
    let mut readings = Vec::new();
    let mut record = sdr::FIRST;
    for _ in 0..RECORDS {
        let (next, bytes) = read_record(bmc, record).await?;
        // A record that makes no sense does not hide the others.
        match SdrRecord::decode(&bytes) {
            Ok(SdrRecord::Full(sensor, conversion)) => {
                let value = match read_sensor(bmc, &sensor).await? {
                    Some(reading) => reading.value(&conversion),
                    None => None,
                };
                readings.push(SensorReading {
                    value,
                    unit: sensor.unit_sign().to_owned(),
                    name: sensor.name,
                });
            }
            Ok(SdrRecord::Compact(sensor)) => {
                let value = read_sensor(bmc, &sensor).await?.filter(|reading| reading.raw.is_some());
                let value = value.map(|reading| f64::from(reading.states));
                readings.push(SensorReading { value, unit: String::new(), name: sensor.name });
            }
            Ok(SdrRecord::Other(_)) | Err(_) => {}
        }
        if next == sdr::LAST || next == record {
            break;
        }
        record = next;
    }
    Ok(readings)
}

async fn read_sensor(
    bmc: &mut Connection,
    sensor: &SensorRecord,
) -> Result<Option<rackwright_ipmi::command::sensor::SensorReading>, CallError> {
    match bmc.run(&GetSensorReading { number: sensor.number }).await {
        Ok(reading) => Ok(Some(reading)),
        Err(CallError::Completion(_) | CallError::Decode(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A whole record, read in pieces. A cancelled reservation is taken anew, a few times.
async fn read_record(bmc: &mut Connection, record: u16) -> Result<(u16, Vec<u8>), CallError> {
    let mut cancelled = 0;
    loop {
        match read_record_once(bmc, record).await {
            Err(CallError::Completion(CompletionError(completion::RESERVATION_CANCELLED)))
                if cancelled < 3 =>
            {
                cancelled += 1;
            }
            other => return other,
        }
    }
}

async fn read_record_once(bmc: &mut Connection, record: u16) -> Result<(u16, Vec<u8>), CallError> {
    let reservation = bmc.run(&ReserveSdr).await?;
    let chunk = bmc.quirks().chunk;
    let head = GetSdr { reservation, record, offset: 0, count: sdr::HEADER as u8 };
    let (next, mut bytes) = bmc.run(&head).await?;
    let whole = sdr::HEADER + usize::from(bytes.get(4).copied().unwrap_or(0));
    while let Ok(offset @ 5..) = u8::try_from(bytes.len()) {
        let left = whole.saturating_sub(bytes.len());
        if left == 0 {
            break;
        }
        let count = chunk.min(left.min(255) as u8);
        let (_, piece) = bmc.run(&GetSdr { reservation, record, offset, count }).await?;
        if piece.is_empty() {
            break;
        }
        bytes.extend(piece);
    }
    Ok((next, bytes))
}

/// The newest entries of the event log as lines, oldest first.
pub(super) async fn event_log(bmc: &mut Connection) -> Result<Vec<String>, CallError> {
    if bmc.run(&GetSelInfo).await?.entries == 0 {
        return Ok(Vec::new());
    }
    let mut lines = Vec::new();
    let mut record = first_wanted(bmc).await?;
    for _ in 0..RECORDS {
        let (entry, next) = bmc.run(&GetSelEntry { record }).await?;
        lines.push(line(&entry));
        if next == sel::LAST || next == record {
            break;
        }
        record = next;
    }
    let excess = lines.len().saturating_sub(ENTRIES.into());
    Ok(lines.split_off(excess))
}

/// Erases the event log and sees it erased (§31.9). The reservation is the BMC's own guard: an entry that is added
/// after it cancels the erasure, which is then tried with a new one.
pub(super) async fn clear_event_log(bmc: &mut Connection) -> Result<(), CallError> {
    let mut cancelled = 0;
    let reservation = loop {
        let reservation = bmc.run(&ReserveSel).await?;
        match bmc.run(&ClearSel { reservation, start: true }).await {
            Ok(true) => return Ok(()),
            Ok(false) => break reservation,
            Err(CallError::Completion(CompletionError(completion::RESERVATION_CANCELLED)))
                if cancelled < 3 =>
            {
                cancelled += 1;
            }
            Err(error) => return Err(error),
        }
    };
    let deadline = Instant::now() + ERASE_WITHIN;
    while !bmc.run(&ClearSel { reservation, start: false }).await? {
        if Instant::now() >= deadline {
            return Err(CallError::NoEffect("it was told to erase its event log and is still at it"));
        }
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Where to begin so that a long log need not be read whole: record ids count up on most BMCs.
async fn first_wanted(bmc: &mut Connection) -> Result<u16, CallError> {
    let (newest, _) = bmc.run(&GetSelEntry { record: sel::LAST }).await?;
    let Some(guess) = newest.record.checked_sub(ENTRIES).filter(|guess| *guess > 0) else {
        return Ok(sel::FIRST);
    };
    match bmc.run(&GetSelEntry { record: guess }).await {
        Ok(_) => Ok(guess),
        Err(CallError::Completion(_)) => Ok(sel::FIRST),
        Err(error) => Err(error),
    }
}

fn line(entry: &SelEntry) -> String {
    let time = entry
        .time
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds.into()).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| "unknown time".to_owned());
    let Some(event) = entry.event else {
        return format!("{time} record type {:#04x}: {}", entry.kind, hex::encode(entry.raw));
    };
    let direction = if event.deasserted { "ended" } else { "began" };
    format!(
        "{time} {} sensor {:#04x}: event {:#04x}/{} {direction}, data {}",
        event.sensor_type_name(),
        event.sensor,
        event.event_type,
        event.data[0] & 0x0f,
        hex::encode(event.data),
    )
}

/// The fields of the inventory that have a value.
pub(super) async fn fru(bmc: &mut Connection) -> Result<Vec<(String, String)>, CallError> {
    let (size, by_words) = bmc.run(&GetFruInfo { device: 0 }).await?;
    let unit = if by_words { 2 } else { 1 };
    let size = usize::from(size.min(INVENTORY));
    let mut image = Vec::new();
    while image.len() < size {
        let left = (size - image.len()).min(bmc.quirks().chunk.into());
        let count = (left.div_ceil(unit)) as u8;
        let offset = (image.len() / unit) as u16;
        match bmc.run(&ReadFru { device: 0, offset, count }).await {
            Ok(piece) if piece.is_empty() => break,
            Ok(piece) => image.extend(piece),
            // Some BMCs say a size larger than what they hold.
            Err(CallError::Completion(_)) if !image.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(fields(Fru::decode(&image)?))
}

fn fields(fru: Fru) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            fields.push((name.to_owned(), value));
        }
    };
    if let Some(product) = fru.product {
        add("product manufacturer", product.manufacturer);
        add("product name", product.name);
        add("product part number", product.part_number);
        add("product version", product.version);
        add("product serial", product.serial);
        add("asset tag", product.asset_tag);
    }
    if let Some(board) = fru.board {
        add("board manufacturer", board.manufacturer);
        add("board product", board.product);
        add("board serial", board.serial);
        add("board part number", board.part_number);
    }
    if let Some(chassis) = fru.chassis {
        add("chassis part number", chassis.part_number);
        add("chassis serial", chassis.serial);
    }
    fields
}
