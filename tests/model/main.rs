//! Properties of the pure model, on random input.

mod playlist;
mod token;
