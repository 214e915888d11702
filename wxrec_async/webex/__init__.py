"""The Webex world: the API (`client`), media behind pre-signed URLs (`media`), and one HTTP transport under both."""
