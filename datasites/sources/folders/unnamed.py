"""Folders that nobody has named: a system's name for a new folder or a copy is no class's and no hospital's."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from policies.errors import DataError

UNNAMED = frozenset(
    {
        "neuer ordner",
        "ohne titel",
        "unbenannter ordner",
        "new folder",
        "untitled folder",
        "nouveau dossier",
        "dossier sans titre",
        "nueva carpeta",
        "carpeta sin título",
        "nuova cartella",
        "cartella senza titolo",
        "nova pasta",
        "pasta sem título",
        "nieuwe map",
        "naamloze map",
        "ny mappe",
        "ny mapp",
        "uusi kansio",
        "nowy folder",
        "yeni klasör",
        "новая папка",
        "新建文件夹",
        "未命名文件夹",
        "新資料夾",
        "新增資料夾",
        "未命名檔案夾",
        "新しいフォルダー",
        "新規フォルダ",
        "無題フォルダ",
        "folder baru",
        "thư mục mới",
        "مجلد جديد",
        "תיקיה חדשה",
        "nová složka",
        "új mappa",
        "нова папка",
        "νέος φάκελος",
        "โฟลเดอร์ใหม่",
        "名称未設定フォルダ",
        "새 폴더",
        "무제 폴더",
    }
)
"""Names that systems give to folders which nobody has named yet."""
_PREVIEWS = re.compile(
    r"(?:thumb(?:nail)?s?|previews?|vignettes?|vorschau(?:bilder)?|miniatur(?:en|es|as|e)?|miniaturas?|"
    r"缩略图|縮圖|サムネイル|썸네일|эскизы|миниатюры)",
    re.IGNORECASE,
)
_THROWN_AWAY = re.compile(
    r"(?:trash|recycle[ _]?bin|papierkorb|corbeille|papelera(?: de reciclaje)?|cestino|lixeira|prullenbak|kosz|"
    r"корзина|回收站|资源回收筒|資源回收筒|ごみ箱|ゴミ箱|휴지통)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[ _]?\(\d+\)$")
_COPY = r"(?:copy|kopie|copie|copia|cópia|kopia|kopi|копия|副本|复制|複製|コピー)"
_COPY_AFTER = re.compile(rf"(?: ?- ?| |_|(?<=\w)(?=副本)){_COPY}(?: \d+)?$", re.IGNORECASE)
_KEPT = re.compile(
    r"[-_. ](?:bak|backup|sicherung|sauvegarde|备份|備份|バックアップ|백업)(?:[-_ ]?\d+)?$|\.(?:old|orig)$|~\d*$",
    re.IGNORECASE,
)
_CONFLICT = re.compile(r" ?\([^()]*\b(?:conflict|konflikt|conflit)[^()]*\)$|\.sync-conflict-[\w-]+$", re.IGNORECASE)
_COPY_BEFORE = re.compile(rf"^{_COPY}(?: \(\d+\))? (?:(?:of|von|van|de|di) )?", re.IGNORECASE)
_FURTHER = re.compile(r" ?\d+$")


def refuse_unnamed(names: Collection[str]) -> None:
    """Refuses a class that a system has named.

    Raises:
        DataError: A folder with pictures has the name that new folders get, or that a copy of another class gets, or
            that of small copies of all pictures, or of what was thrown away.
    """
    _refuse_thrown_away(names)
    if previews := sorted(filter(_PREVIEWS.fullmatch, names)):
        raise DataError(
            f"The folder {previews[0]} holds pictures and has the name of a folder of small copies, so each picture "
            "would be in a class of that name as well. Move it elsewhere; if it is a class, declare class_names in "
            "[dataset]."
        )
    for name, original in _named_by_a_system(names):
        if original is None:
            raise DataError(
                f"The folder {name} holds pictures and has the name that new folders get, so it would be a class of "
                "that name. Rename it, or move its pictures to the class that they are of."
            )
        raise DataError(
            "A folder with pictures has the name that a copy of another class's folder gets, so it would be a "
            "class of its own. Move its pictures to the class that they are of, or rename it.",
            private=f"Folder {name}, beside {original}",
        )


def refuse_unnamed_hospitals(names: Collection[str]) -> None:
    """Refuses a hospital that a system has named: with a copy's pictures, the same patients would be at two.

    Raises:
        DataError: One has the name that new folders get, or that a copy of another hospital's folder gets, or that of
            what was thrown away.
    """
    _refuse_thrown_away(names)
    for name, original in _named_by_a_system(names):
        if original is None:
            raise DataError(
                f"The folder {name} has the name that new folders get, and it would be a hospital of that name. Rename "
                "it, or move it elsewhere."
            )
        raise DataError(
            "A folder has the name that a copy of another hospital's folder gets, so that the same patients would "
            "be at two hospitals. Move it elsewhere, or rename it if it is another hospital's.",
            private=f"Folder {name}, beside {original}",
        )


def _refuse_thrown_away(names: Collection[str]) -> None:
    if bins := sorted(filter(_THROWN_AWAY.fullmatch, names)):
        raise DataError(
            f"The folder {bins[0]} holds pictures and has the name of a folder for what was thrown away. Move it "
            "elsewhere, or rename it if nothing of it was."
        )


def _named_by_a_system(names: Collection[str]) -> Iterator[tuple[str, str | None]]:
    """Names that a system gives, in order: (name, None) to a new folder, (name, original) to a copy of another one."""
    lower = {name.lower() for name in names}
    for name in sorted(names):
        original = _not_a_copy(name)
        if _is_unnamed(original):
            yield name, None
        elif original != name and original.lower() in lower:
            yield name, original


def _is_unnamed(plain: str) -> bool:
    return bool({plain.lower(), _FURTHER.sub("", plain).lower()} & UNNAMED)


def _not_a_copy(name: str) -> str:
    """A name without what systems add to that of a copy."""
    before = ""
    while name and name != before:
        before, name = name, _COPY_BEFORE.sub("", _COPY_AFTER.sub("", _KEPT.sub("", _NUMBER.sub("", name))))
        name = _CONFLICT.sub("", name)
    return name or before
