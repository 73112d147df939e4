//! Translations, as tables.
