//! Requests and answers of the OpenAI API.
