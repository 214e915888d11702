"""What each command does, a file each; `cli.app` names them and loads the one that is carried out."""
