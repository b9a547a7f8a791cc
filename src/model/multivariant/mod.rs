//! Multivariant playlists.
