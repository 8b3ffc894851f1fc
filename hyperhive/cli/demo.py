"""The command that shows hyperhive at work."""

import click


@click.command()
@click.option("--live", is_flag=True, help="The first act with a real model and your own login instead of a scripted model.")
@click.pass_context
def demo(ctx: click.Context, live: bool) -> None:
    """Watch two agents do a small job together.

    In a second act one makes a tool for the other, and you decide about it. Everything but the model is the product itself;
    it needs no account and no internet.
    """
    from hyperhive.demo.story import run

    ctx.exit(run(live))
