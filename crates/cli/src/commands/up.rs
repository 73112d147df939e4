//! `headwater up`.

use headwater_app::UpOptions;

use super::{Context, Stop};
use crate::args::Up;
use crate::serving::{Serving, ServingOptions};
use crate::signals::Interrupt;

pub(super) async fn up(context: &Context, up: Up) -> Result<(), Stop> {
    let interrupt = Interrupt::listen(&context.printer)?;
    let instance = context.writer().await?;
    let options = ServingOptions {
        port: up.port,
        for_duration: up.for_duration,
        access: up.access,
        up: Some(UpOptions { build_every: up.build_every, speed: up.speed }),
        page: "",
    };
    let serving = Serving::start(&context.printer, instance, options).await?;
    serving.until_end(&interrupt, |_| Box::pin(std::future::ready(Ok(())))).await
}
