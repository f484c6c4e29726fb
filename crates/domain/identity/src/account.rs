//! Registration, sign-in, and everything a person does with their own account.
