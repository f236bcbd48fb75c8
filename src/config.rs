//! Every setting: its variable, unit and default.
