//! Everything that onboarding works with: the site, the machine, the ways out and the people.

use crate::hardware::Hardware;
use crate::net::Net;
use crate::nic;
use crate::pace::Pace;
use crate::parameters::Parameters;
use crate::place::Place;
use crate::site::Site;
use crate::voice::Voice;
use hookos_onboarding::files::{FOLDER, Files};
use hookos_onboarding::messages::OnboardNodeStreamRequest;
use std::time::Duration;
use tokio::time::Instant;

/// A DHCP answer takes seconds; after this a person wants to know.
const QUIET: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub struct Job {
    pub place: Place,
    pub parameters: Parameters,
    pub hardware: Hardware,
    pub site: Site,
    pub net: Net,
    pub voice: Voice,
    pub files: Files,
    pub pace: Pace,
}

impl Job {
    /// Reads site and machine, or says everything that is in the way.
    pub fn prepare(place: &Place, pace: Pace) -> Result<Self, Vec<String>> {
        let hardware = Hardware::read(place);
        let site = Site::read(place)?;
        if hardware.uuid.is_empty() {
            return Err(hardware.notes);
        }
        let net = Net::new(&site, pace).map_err(|e| vec![e])?;
        Ok(Self {
            parameters: Parameters::read(place),
            voice: Voice::new(place),
            files: Files::at(place.at(FOLDER)),
            place: place.clone(),
            hardware,
            site,
            net,
            pace,
        })
    }

    /// What is odd and does not stop the work.
    pub fn notes(&self) -> impl Iterator<Item = &String> {
        self.parameters.notes.iter().chain(&self.hardware.notes).chain(&self.site.notes)
    }

    /// What the machine says of itself. Waits for its address as long as it takes; looked up each
    /// time, since a lease may change.
    pub async fn machine(&self) -> OnboardNodeStreamRequest {
        let quiet_until = Instant::now() + self.pace.of(QUIET);
        loop {
            match nic::find(&self.place, self.parameters.worker_id.as_deref()) {
                Ok(nic) => return self.request(nic.mac.to_string(), nic.address.to_string()),
                Err(words) if Instant::now() >= quiet_until => {
                    self.voice.trouble(&format!("waiting for the network: {words}"));
                }
                Err(_) => {}
            }
            self.pace.sleep(LOOK_EVERY).await;
        }
    }

    pub fn request(&self, mac_id: String, host_ip: String) -> OnboardNodeStreamRequest {
        let Hardware { uuid, serial, .. } = &self.hardware;
        OnboardNodeStreamRequest { uuid: uuid.clone(), serialnum: serial.clone(), mac_id, host_ip }
    }
}
