//! Properties of the pure model, on random input.

mod lane;
mod playlist;
mod token;
