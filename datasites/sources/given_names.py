"""Common given names, Chinese and Korean surnames, by which a file's or folder's name is taken for a person's.

All are public. Names that are ordinary words of medicine or of file names as well, such as iris, ray or max, are left
out.
"""

from __future__ import annotations

import re

_NAMES = """
    aaron abdul abdullah adam adrian agnes ahmad ahmed aisha albert alejandro aleksandr alessandro alex alexander
    alexandra alfred alice amelie amina amira amit anastasia andrea andreas andrew angela angelika anita anja anke ann
    anna anne annette antje anton antonio arjun arthur astrid barbara beate beatrice benjamin bernd bernhard bianca
    birgit bjoern björn brigitte britta bruno camille carla carlos carmen caroline catherine charles charlotte chiara
    christa christian christina christine christoph christopher claire clara claudia cornelia daniel daniela david
    deepak denise dennis diana dieter dirk dmitri dominik dora doris dorothea edith eduardo elena eleonore elias
    elisabeth elizabeth elke ellen else emily emma eric erich erik erika erna ernst esther eva fabian fatima felix
    fernando florian francesca francesco francisco franz franziska fritz gabriel gabriele georg george gerd gerda
    gerhard gertrud gisela giulia giuseppe gudrun guenter günter günther hannah hannelore hans harald hassan hedwig
    heike heinrich heinz helen helena helga helmut henry herbert hermann hildegard holger horst hugo hussein ibrahim
    ilse inge ingeborg ingrid irene irina irmgard isabel isabella ivan jacob jacques jakob james jan jana janine javier
    jean jennifer jens jessica joachim joao jochen johanna johannes john jonas jonathan jorge jose josef joseph
    juan judith julia julian julie juliane juergen jürgen karen karin karl karla katarina katharina kathrin katja
    katrin kenji kerstin kevin khalid klara klaus kristina kumar lars laura laurent lea leon leonie liam lieselotte
    linda lisa lothar louis louise luca lucas lucia ludwig luis luise lukas lydia magdalena mahmoud manfred manuela
    marco margarete margaret margarita maria marianne marie marina mario marion markus marlene martin martina mary
    mateo mathias matthew matthias maximilian mehmet melanie mia michael michaela michel miguel mikhail mohamed
    mohammad mohammed monika moritz muhammad mustafa nadine natalia natalie nicolas nicole nikolaus nina nora olaf oleg
    olga olivia omar oscar oskar otto pablo pascal patricia patrick paul paula pedro peter petra philipp philippe
    pierre priya rachel rafael rainer ralf ramona raphael raquel rebecca regina renate ricardo richard robert roberto
    roland rolf rosemarie rudolf ruth sabine samuel sandra sara sarah sebastian sergei sergey simon simone sofia sonja
    sophia sophie stefan stefanie steffen stephan stephanie stephen susan susanne svetlana sven sylvia tanja tatjana
    teresa theresa thomas thorsten tim tobias tomas torsten udo ulrich ulrike ursula ute uwe valentina vanessa vera
    veronika victor victoria viktor viktoria vincent vladimir volker walter waltraud werner wilhelm william wolfgang
    xavier yusuf yuki yvonne zoe
"""
GIVEN_NAMES = frozenset(_NAMES.split())
SURNAMES_IN_CHINESE = tuple(
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏"
    "钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文張劉陳楊趙黃吳孫馬羅鄭謝"
    "韓馮許鄧蕭呂蘇盧蔣賈葉閻譚鄒陸錢湯龍萬"
)
NAME_IN_KOREAN = re.compile(r"(?:김|이(?!미|형|상|전|중)|박(?!동|리|테)|최(?!종|소|대|적|근|초|신))[가-힣]{2}")
"""The commonest surnames with a given name of two syllables, but for usual words that begin alike."""
