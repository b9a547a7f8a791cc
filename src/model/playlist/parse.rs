//! Reading a media playlist.
