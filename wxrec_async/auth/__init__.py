"""Who we are to Webex: credentials, tokens, where they are kept, and how they are renewed."""
