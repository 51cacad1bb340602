use serde::{Deserialize, Serialize};

/// Which axis of an image, or of samples like one, is that of the channels. Keras: `data_format`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataFormat {
    /// The last one, (batch, .., channels): the default everywhere.
    #[default]
    ChannelsLast,
    /// The first of a sample, (batch, channels, ..).
    ChannelsFirst,
}
