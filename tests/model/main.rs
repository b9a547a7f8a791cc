//! Properties of the pure model, on random input.

mod history;
#[allow(dead_code)] // shared with the simulation
#[path = "../simulation/judge.rs"]
mod judge;
mod lane;
mod playlist;
mod token;
#[allow(dead_code)] // shared with the simulation
#[path = "../simulation/world.rs"]
mod world;
