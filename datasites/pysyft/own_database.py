"""PySyft's connections to PostgreSQL, opened by the platform. No password is in what PySyft prints and logs of them.

PySyft's own would hold it in a text that is printed and logged, and know no TLS.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import sessionmaker
from syft.store.db.db import DBConfig, DBManager

from datasites.files.state_folder import StateFolder
from datasites.pysyft import unreadable_rows
from datasites.pysyft_database.owner import connect_owned
from datasites.pysyft_database.place import Place
from datasites.pysyft_database.postgresql import unavailable
from datasites.pysyft_database.tables import as_json


class PlaceConfig(DBConfig):
    """What PySyft may know and show of the database: its dialect. A connection is made elsewhere."""

    @property
    def connection_string(self) -> str:
        """Names no host, no account and no password."""
        return "postgresql+psycopg2://"


class OwnDatabase(DBManager[PlaceConfig]):
    """PySyft's manager of a database, with an engine of the platform's own."""

    def __init__(self, engine: Engine, server_uid: Any, root_verify_key: Any) -> None:
        # Without PySyft's own: it makes an engine from a text with the password in it, and logs that text.
        self.config = PlaceConfig()
        self.root_verify_key, self.server_uid = root_verify_key, server_uid
        self.engine = engine
        self.sessionmaker = sessionmaker(bind=engine)


def engine_of(state: StateFolder, place: Place) -> Engine:
    """The connections that PySyft's calls share; one that was lost is opened anew when it is next needed.

    Raises (at each use):
        DatabaseUnavailable: The server does not answer.
        DatabaseRefused: Under that name there is another database now.
    """
    engine = unreadable_rows.engine(
        PlaceConfig().connection_string,
        creator=lambda: connect_owned(state, place),
        pool_pre_ping=True,
        pool_size=5,
        max_overflow=20,
        json_serializer=as_json,
    )

    def told(context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        if isinstance(error, OperationalError | InterfaceError) and not context.is_pre_ping:
            raise unavailable(context.original_exception, place.where) from context.original_exception

    event.listen(engine, "handle_error", told)
    return engine
