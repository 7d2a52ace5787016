//! The site's settings as the programs inside the image read them.
#![no_main]

use hookos_guest::{env_config, settings::Settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = env_config::parse(text);
    let settings = Settings::parse(text);
    for key in ["GETTY", "NTP_SERVERS"] {
        let _ = (settings.value(key), settings.list(key));
    }
});
