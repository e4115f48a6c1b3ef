//! The WS-Man requests (DSP0226) Rackwright makes of an AMT device, and what the answers say.
//!
//! Classes and constants are those of Intel's AMT SDK: `CIM_PowerManagementService`, `CIM_BootConfigSetting`,
//! `CIM_BootService`, `AMT_BootSettingData`.

use crate::xml::{Element, escape};

const CIM: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/";
const AMT: &str = "http://intel.com/wbem/wscim/1/amt-schema/1/";
const GET: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get";
const PUT: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Put";
const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
const WSMAN: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd";
const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
const IDENTITY: &str = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd";
const BOOT_CONFIGURATION: &str = "Intel(r) AMT: Boot Configuration 0";

/// Boot settings that only some firmware generations have and none accepts back.
const READ_ONLY: [&str; 8] = [
    "BIOSLastStatus",
    "BootguardStatus",
    "OptionsCleared",
    "SecureBootControlEnabled",
    "UEFIHTTPSBootEnabled",
    "UEFILocalPBABootEnabled",
    "UefiBootParametersArray",
    "WinREBootEnabled",
];

/// What was wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmtError {
    /// It is no WS-Man answer.
    #[error("the answer is not WS-Man")]
    NotWsman,
    /// The device refused the request, in its own words.
    #[error("the device refused: {0}")]
    Fault(String),
    /// The method ran and said no.
    #[error("{method} returned {value}{}", meaning(*value))]
    Returned {
        /// The method.
        method: &'static str,
        /// Its return value; 0 is success.
        value: u32,
    },
    /// A field is missing or holds no sensible value.
    #[error("the answer lacks {0}")]
    Missing(&'static str),
}

fn meaning(value: u32) -> &'static str {
    match value {
        1 => " (not supported)",
        2 => " (not possible now)",
        3 => " (timeout)",
        4 => " (failed)",
        5 => " (invalid parameter)",
        6 => " (in use)",
        _ => "",
    }
}

/// A power state to ask for (`RequestPowerStateChange`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// On.
    On,
    /// Off at once.
    Off,
    /// Off and on.
    Cycle,
    /// Reset.
    Reset,
    /// The operating system is asked to shut down; needs Intel's agent in it.
    SoftOff,
}

impl Power {
    fn code(self) -> u8 {
        match self {
            Self::On => 2,
            Self::Off => 8,
            Self::Cycle => 5,
            Self::Reset => 10,
            Self::SoftOff => 12,
        }
    }
}

/// Where the next start comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootSource {
    /// The network.
    Pxe,
    /// The disk.
    Disk,
    /// As the firmware decides.
    Usual,
}

impl BootSource {
    fn instance(self) -> Option<&'static str> {
        match self {
            Self::Pxe => Some("Intel(r) AMT: Force PXE Boot"),
            Self::Disk => Some("Intel(r) AMT: Force Hard-drive Boot"),
            Self::Usual => None,
        }
    }
}

/// `AMT_BootSettingData`: fields in the device's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootSettings {
    fields: Vec<(String, String)>,
}

impl BootSettings {
    /// The settings for a plain start, or for one into the firmware's set-up: everything else that bends a start is off.
    #[must_use]
    pub fn for_next_start(mut self, bios_setup: bool) -> Self {
        self.fields.retain(|(name, _)| !READ_ONLY.contains(&name.as_str()));
        for (name, value) in &mut self.fields {
            match name.as_str() {
                "BIOSSetup" => *value = bios_setup.to_string(),
                "BIOSPause"
                | "UseIDER"
                | "UseSOL"
                | "ReflashBIOS"
                | "UseSafeMode"
                | "SecureErase"
                | "ConfigurationDataReset"
                | "PlatformErase" => *value = "false".to_owned(),
                "IDERBootDevice" | "BootMediaIndex" => *value = "0".to_owned(),
                _ => {}
            }
        }
        self
    }

    /// A field's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Which WS-Man implementation is this? Answered before a login by some devices.
    Identify,
    /// Read the power state.
    GetPower,
    /// Change the power state.
    SetPower(Power),
    /// Read the boot settings.
    GetBootSettings,
    /// Write the boot settings.
    PutBootSettings(BootSettings),
    /// Choose where the next start comes from.
    ChangeBootOrder(BootSource),
    /// Let the choice count for the next start.
    SetBootConfigRole,
}

/// An answer that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Accepted.
    Done,
    /// The power state (`CIM_AssociatedPowerManagementService.PowerState`): 2 on, 3 and 4 asleep, 6 to 8 off.
    Power(u8),
    /// Boot settings.
    BootSettings(BootSettings),
    /// Vendor and version.
    Identity {
        /// `Intel(r)`.
        vendor: String,
        /// `AMT 11.8.50`.
        version: String,
    },
}

struct Parts<'a> {
    action: String,
    resource: String,
    selector: Option<(&'a str, &'a str)>,
    body: String,
}

impl Request {
    /// The request's text. `message_id` must differ from request to request; `to` is the URL it is sent to.
    pub fn encode(&self, to: &str, message_id: u64) -> String {
        let Some(parts) = self.parts() else {
            return format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"{SOAP}\"><s:Header/><s:Body>\
                 <i:Identify xmlns:i=\"{IDENTITY}\"/></s:Body></s:Envelope>"
            );
        };
        let selectors = parts.selector.map_or(String::new(), |(name, value)| selector_set(&[(name, value)]));
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"{SOAP}\" xmlns:a=\"{ADDRESSING}\" \
             xmlns:w=\"{WSMAN}\"><s:Header><a:Action s:mustUnderstand=\"true\">{}</a:Action>\
             <a:To s:mustUnderstand=\"true\">{}</a:To><w:ResourceURI s:mustUnderstand=\"true\">{}</w:ResourceURI>\
             <a:MessageID s:mustUnderstand=\"true\">uuid:00000000-0000-4000-8000-{message_id:012x}</a:MessageID>\
             <a:ReplyTo><a:Address>{ADDRESSING}/role/anonymous</a:Address></a:ReplyTo>\
             <w:OperationTimeout>PT20S</w:OperationTimeout>{selectors}</s:Header><s:Body>{}</s:Body></s:Envelope>",
            parts.action,
            escape(to),
            parts.resource,
            parts.body
        )
    }

    fn parts(&self) -> Option<Parts<'static>> {
        Some(match self {
            Self::Identify => return None,
            Self::GetPower => get(CIM, "CIM_AssociatedPowerManagementService"),
            Self::GetBootSettings => get(AMT, "AMT_BootSettingData"),
            Self::PutBootSettings(settings) => {
                let resource = format!("{AMT}AMT_BootSettingData");
                let fields: String = settings
                    .fields
                    .iter()
                    .map(|(name, value)| format!("<p:{name}>{}</p:{name}>", escape(value)))
                    .collect();
                let body =
                    format!("<p:AMT_BootSettingData xmlns:p=\"{resource}\">{fields}</p:AMT_BootSettingData>");
                let selector = Some(("InstanceID", "Intel(r) AMT:BootSettingData 0"));
                Parts { action: PUT.into(), resource, selector, body }
            }
            Self::SetPower(power) => {
                let computer = [("CreationClassName", "CIM_ComputerSystem"), ("Name", "ManagedSystem")];
                let inner = format!(
                    "<p:PowerState>{}</p:PowerState><p:ManagedElement>{}</p:ManagedElement>",
                    power.code(),
                    reference("CIM_ComputerSystem", &computer)
                );
                invoke(
                    "CIM_PowerManagementService",
                    "RequestPowerStateChange",
                    Some(("Name", "Intel(r) AMT Power Management Service")),
                    &inner,
                )
            }
            Self::ChangeBootOrder(source) => {
                let inner = source.instance().map_or(String::new(), |instance| {
                    let source = reference("CIM_BootSourceSetting", &[("InstanceID", instance)]);
                    format!("<p:Source>{source}</p:Source>")
                });
                let selector = Some(("InstanceID", BOOT_CONFIGURATION));
                invoke("CIM_BootConfigSetting", "ChangeBootOrder", selector, &inner)
            }
            Self::SetBootConfigRole => {
                let setting = reference("CIM_BootConfigSetting", &[("InstanceID", BOOT_CONFIGURATION)]);
                let inner = format!("<p:BootConfigSetting>{setting}</p:BootConfigSetting><p:Role>1</p:Role>");
                let selector = Some(("Name", "Intel(r) AMT Boot Service"));
                invoke("CIM_BootService", "SetBootConfigRole", selector, &inner)
            }
        })
    }

    /// Reads the answer to this request.
    pub fn read(&self, text: &str) -> Result<Answer, AmtError> {
        let envelope =
            Element::parse(text).filter(|root| root.name == "Envelope").ok_or(AmtError::NotWsman)?;
        let body = envelope.find("Body").ok_or(AmtError::NotWsman)?;
        if let Some(fault) = body.find("Fault") {
            let reason =
                fault.text_of("Text").or_else(|| fault.text_of("Reason")).unwrap_or("no reason given");
            return Err(AmtError::Fault(reason.chars().take(200).collect()));
        }
        match self {
            Self::Identify => Ok(Answer::Identity {
                vendor: body.text_of("ProductVendor").ok_or(AmtError::Missing("ProductVendor"))?.to_owned(),
                version: body.text_of("ProductVersion").unwrap_or_default().to_owned(),
            }),
            Self::GetPower => body
                .text_of("PowerState")
                .and_then(|state| state.parse().ok())
                .map(Answer::Power)
                .ok_or(AmtError::Missing("PowerState")),
            Self::GetBootSettings => {
                let settings =
                    body.find("AMT_BootSettingData").ok_or(AmtError::Missing("AMT_BootSettingData"))?;
                let fields =
                    settings.children.iter().map(|field| (field.name.clone(), field.text.clone())).collect();
                Ok(Answer::BootSettings(BootSettings { fields }))
            }
            Self::PutBootSettings(_) => Ok(Answer::Done),
            Self::SetPower(_) => returned(body, "RequestPowerStateChange"),
            Self::ChangeBootOrder(_) => returned(body, "ChangeBootOrder"),
            Self::SetBootConfigRole => returned(body, "SetBootConfigRole"),
        }
    }
}

fn get(schema: &str, class: &str) -> Parts<'static> {
    Parts { action: GET.into(), resource: format!("{schema}{class}"), selector: None, body: String::new() }
}

fn invoke(
    class: &str,
    method: &str,
    selector: Option<(&'static str, &'static str)>,
    inner: &str,
) -> Parts<'static> {
    let resource = format!("{CIM}{class}");
    let body = format!("<p:{method}_INPUT xmlns:p=\"{resource}\">{inner}</p:{method}_INPUT>");
    Parts { action: format!("{resource}/{method}"), resource, selector, body }
}

fn selector_set(selectors: &[(&str, &str)]) -> String {
    let inner: String = selectors
        .iter()
        .map(|(name, value)| format!("<w:Selector Name=\"{name}\">{value}</w:Selector>"))
        .collect();
    format!("<w:SelectorSet>{inner}</w:SelectorSet>")
}

/// An endpoint reference to an instance.
fn reference(class: &str, selectors: &[(&str, &str)]) -> String {
    format!(
        "<a:Address>{ADDRESSING}</a:Address><a:ReferenceParameters><w:ResourceURI>{CIM}{class}</w:ResourceURI>{}\
         </a:ReferenceParameters>",
        selector_set(selectors)
    )
}

fn returned(body: &Element, method: &'static str) -> Result<Answer, AmtError> {
    let value = body
        .text_of("ReturnValue")
        .and_then(|value| value.parse().ok())
        .ok_or(AmtError::Missing("ReturnValue"))?;
    if value == 0 { Ok(Answer::Done) } else { Err(AmtError::Returned { method, value }) }
}

/// The requests that choose where the next start comes from, after the settings have been read. AMT cannot choose for good.
pub fn boot_steps(settings: BootSettings, source: BootSource, bios_setup: bool) -> [Request; 3] {
    [
        Request::PutBootSettings(settings.for_next_start(bios_setup)),
        Request::ChangeBootOrder(source),
        Request::SetBootConfigRole,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: &str = "http://192.0.2.1:16992/wsman";

    fn all() -> Vec<Request> {
        let settings = BootSettings {
            fields: vec![
                ("BIOSSetup".into(), "true".into()),
                ("ElementName".into(), "a <name>".into()),
                ("OptionsCleared".into(), "true".into()),
                ("UseSOL".into(), "true".into()),
            ],
        };
        let mut requests = vec![Request::Identify, Request::GetPower, Request::GetBootSettings];
        requests.extend(
            [Power::On, Power::Off, Power::Cycle, Power::Reset, Power::SoftOff].map(Request::SetPower),
        );
        requests.extend(boot_steps(settings, BootSource::Pxe, false));
        requests.push(Request::ChangeBootOrder(BootSource::Usual));
        requests
    }

    #[test]
    fn every_request_is_well_formed() {
        for request in all() {
            let text = request.encode(TO, 7);
            let root = Element::parse(&text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(root.name, "Envelope");
        }
    }

    #[test]
    fn power_on_names_the_managed_system() {
        let text = Request::SetPower(Power::On).encode(TO, 1);
        for part in [
            "/CIM_PowerManagementService/RequestPowerStateChange</a:Action>",
            "<w:Selector Name=\"Name\">Intel(r) AMT Power Management Service</w:Selector>",
            "<p:PowerState>2</p:PowerState>",
            "<w:Selector Name=\"Name\">ManagedSystem</w:Selector>",
            "uuid:00000000-0000-4000-8000-000000000001",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn settings_are_written_back_without_what_bends_the_next_start() {
        let text = all()[8].encode(TO, 1);
        assert!(text.contains("<p:BIOSSetup>false</p:BIOSSetup>"), "{text}");
        assert!(text.contains("<p:UseSOL>false</p:UseSOL>"), "{text}");
        assert!(text.contains("<p:ElementName>a &lt;name&gt;</p:ElementName>"), "{text}");
        assert!(!text.contains("OptionsCleared"), "{text}");
    }

    #[test]
    fn answers_and_refusals() {
        let wrap = |body: &str| format!("<x:Envelope xmlns:x='{SOAP}'><x:Body>{body}</x:Body></x:Envelope>");
        let power = wrap("<g:S xmlns:g='u'><g:PowerState>2</g:PowerState></g:S>");
        assert_eq!(Request::GetPower.read(&power), Ok(Answer::Power(2)));
        let no = wrap("<g:O xmlns:g='u'><g:ReturnValue>2</g:ReturnValue></g:O>");
        assert_eq!(
            Request::SetPower(Power::On).read(&no).unwrap_err().to_string(),
            "RequestPowerStateChange returned 2 (not possible now)"
        );
        let fault = wrap("<x:Fault><x:Reason><x:Text>access denied</x:Text></x:Reason></x:Fault>");
        assert_eq!(Request::GetPower.read(&fault), Err(AmtError::Fault("access denied".into())));
        assert_eq!(Request::GetPower.read("<html/>"), Err(AmtError::NotWsman));
        assert_eq!(Request::GetPower.read(&wrap("")), Err(AmtError::Missing("PowerState")));
    }

    #[test]
    fn damaged_answers_do_not_panic() {
        let seed = format!(
            "<?xml version=\"1.0\"?><x:Envelope xmlns:x='{SOAP}'><x:Body><g:AMT_BootSettingData xmlns:g='{AMT}'>\
             <g:UseSOL>false</g:UseSOL><g:PowerState>&#50;</g:PowerState><![CDATA[x]]></g:AMT_BootSettingData>\
             </x:Body></x:Envelope>"
        );
        let mut state = 1u64;
        let mut next = |limit: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % limit.max(1)
        };
        for _ in 0..200_000 {
            let mut bytes = seed.clone().into_bytes();
            for _ in 0..=next(4) {
                let at = next(bytes.len());
                bytes[at] = [b'<', b'>', b'&', b'"', b'/', 0, 0xff, b'!'][next(8)];
            }
            if next(5) == 0 {
                bytes.truncate(next(bytes.len()));
            }
            let text = String::from_utf8_lossy(&bytes);
            drop(Request::GetBootSettings.read(&text));
            drop(Request::GetPower.read(&text));
            drop(crate::digest::Challenge::parse(&text));
        }
    }
}
