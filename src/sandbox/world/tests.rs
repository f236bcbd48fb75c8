use std::collections::HashSet;
