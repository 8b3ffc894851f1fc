"""Every command's place and one-line help, so that the list of them imports none of them."""

from typing import Final, NamedTuple


class Entry(NamedTuple):
    """Where a command is, as `module:attribute` below `hyperhive.cli`, and the first line of its help."""

    place: str
    help: str


SECTIONS: Final[dict[str, dict[str, Entry]]] = {
    "Agents": {
        "spawn": Entry("agents:spawn", "Make an agent, in a container of its own."),
        "ps": Entry("overview:ps", "Show who does what."),
        "watch": Entry("watch:watch", "Watch the hive, and decide, on the whole screen."),
        "show": Entry("showing:show", "Show all about an agent, or about what has a number."),
        "start": Entry("lifecycle:start", "Let agents work, also those that were held back."),
        "stop": Entry("lifecycle:stop", "Stop agents; a turn that runs may end first."),
        "restart": Entry("lifecycle:restart", "Start agents' programs anew, after their turn."),
        "kill": Entry("lifecycle:kill", "End everything that agents run, at once."),
        "destroy": Entry("lifecycle:destroy", "Take agents away and keep their state."),
        "purge": Entry("lifecycle:purge", "Remove all that was kept of a destroyed agent."),
        "login": Entry("containers:login", "Log an agent in."),
        "model": Entry("agents:model", "Show or choose an agent's model."),
        "exec": Entry("containers:execute", "Run a command in an agent's container."),
    },
    "Messages": {
        "send": Entry("messages:send", "Send a message to an agent."),
        "inbox": Entry("messages:inbox", "Show what waits for you, or for an agent."),
        "read": Entry("messages:read", "Take messages out of your inbox."),
        "messages": Entry("messages:flow", "Show the messages between all."),
    },
    "Deciding": {
        "pending": Entry("pending:pending", "Show all that waits for your decision."),
        "approve": Entry("approvals:approve", "Approve what an agent asked for, and deploy it."),
        "deny": Entry("approvals:deny", "Deny what an agent asked for."),
        "questions": Entry("questions:questions", "Show what agents ask you."),
        "answer": Entry("questions:answer", "Answer an agent's question."),
        "cancel-question": Entry("questions:cancel", "End an agent's question without an answer."),
    },
    "Configuration": {
        "config": Entry("configuration:config", "Show or edit an agent's configuration."),
        "history": Entry("deployments:history", "Show what an agent was given, and how that went."),
        "diff": Entry("configuration:diff", "Show what lies between two configurations of an agent."),
        "rollback": Entry("deployments:rollback", "Go back to an earlier configuration of an agent."),
        "deploy": Entry("deployments:deploy", "Try a deployment that failed once more."),
        "update": Entry("deployments:update", "Renew agents that are out of date."),
        "log": Entry("deployments:log", "Show what was deployed, in the whole hive."),
    },
    "Turns": {
        "events": Entry("events:events", "Show what an agent's turns said and did."),
        "logs": Entry("logs:logs", "Show an agent's journal."),
        "turns": Entry("turns:turns", "Show how turns ended and what they cost."),
        "cost": Entry("turns:cost", "Show what agents cost, by day."),
        "cancel": Entry("turns:cancel", "End the turn that an agent is in."),
        "compact": Entry("turns:compact", "Make an agent's conversation shorter."),
    },
    "The hive": {
        "up": Entry("processes:up", "Run the hive in this terminal."),
        "web": Entry("web:web", "Show the hive in a browser."),
        "install": Entry("services:install", "Have systemd keep the hive up."),
        "uninstall": Entry("services:uninstall", "Take the hive out of systemd's care."),
        "cron": Entry("services:cron", "Print the crontab for a machine without systemd."),
        "operations": Entry("operations:operations", "Show what is being done to agents, and what waits."),
        "doctor": Entry("doctor:doctor", "Say what is wrong with this machine."),
        "demo": Entry("demo:demo", "Watch two agents do a small job together."),
    },
    "Run by hyperhive itself": {
        "hub": Entry("processes:hub", "Serve the agents' sockets and start who has mail."),
        "harness": Entry("processes:harness", "Work through one agent's mail."),
        "operate": Entry("processes:operate", "Carry out one operation."),
        "crash-watch": Entry("processes:watch", "Tell what has changed about agents."),
        "vacuum": Entry("vacuum:vacuum", "Remove what is kept no longer."),
        "mcp": Entry("processes:mcp", "Speak MCP for an agent on standard input and output."),
    },
}

COMMANDS: Final[dict[str, Entry]] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}
